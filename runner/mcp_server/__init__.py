"""`runner mcp`: the verbs of runner as tools of the Model Context Protocol. A door without rules of its own.

A client hands in a script, names a policy, and gets back what the command line's envelope says, as data. It can name
only policies that the host's trust.yaml lets MCP use, and approves nothing.

    server      the tools, their words, and which error is whose
    live        the runs of one server: begun, followed, stopped with it
    forms       what tools return: pydantic models, whose schemas the client gets
    briefing    the resources: what a model needs to write scripts, and what a policy grants
    stdio, http the two transports
    serve       one server from its start to its last run's end

Not here: what a run is (engine), which policies a door may use (review.trust).
"""

from __future__ import annotations
