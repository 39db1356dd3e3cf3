"""An ordered list of fallbacks, each tried when the one before it is used up."""
reply = spawn(
    "deep_research",
    {"topic": inputs["question"]},
    timeout=30,
    retry=Retry(attempts=1, backoff=0.5),
    fallback=[Fallback("research", scopes=[]), Fallback("archive", scopes=["docs:read"])],
)
if reply.ok:
    result = reply.result()
else:
    err = reply.error
    result = {"error": err.kind, "attempts": err.attempts, "agent": err.agent}
