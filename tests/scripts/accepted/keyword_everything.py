"""Every argument by its name, as an IDE would complete it."""
extraction = spawn(
    agent="extract",
    inputs=dict(text=inputs["text"], fields=["budget", "deadline", "owner"]),
    timeout=15.0,
    retry=Retry(attempts=1, backoff=1.0, max_backoff=10.0, on=("failed",)),
    label="extraction",
)
message = spawn(
    agent="notify",
    inputs={"channel": inputs["who"], "message": f"Budget {extraction['values']['budget']}, missing: {extraction['missing']}"},
    scopes=("chat:send",),
    label="message",
)
sent = gather(extraction, message, on_error="raise", timeout=30)
result = {"values": sent[0]["values"], "sent": sent[1]["sent"]}
