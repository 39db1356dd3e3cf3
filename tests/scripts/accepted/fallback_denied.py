"""Every agent of a chain is permitted when the spawn is asked for: one refusal denies it."""
handle = spawn("research", {"topic": inputs["topic"]}, scopes=inputs["scopes"], fallback="archive")
if handle.error is not None and handle.error.kind == "denied":
    handle = spawn("research", {"topic": inputs["topic"]}, fallback=Fallback("archive", scopes=["docs:read"]))
result = handle.result()["summary"]
