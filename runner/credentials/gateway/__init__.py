"""The gateway: the host's door through which an agent reaches a resource. It holds the credential, the agent does not.

    checks      whether a request may leave, and what of it
    account     one attempt's tokens, its requests, and an event for each
    passage     sending a request, and passing on what comes back
    upstream    connections to addresses that were looked at
    redaction   taking credentials out of answers
    client      the way in for agents in the host's process
    socket      the way in for agents in processes of their own

Importing this module loads none of them.
"""
