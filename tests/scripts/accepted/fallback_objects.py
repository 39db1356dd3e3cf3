"""A fallback with scopes of its own, kept in a constant and shown in the report."""
ARCHIVE = Fallback("archive", scopes=("docs:read",))
handle = spawn("research", {"topic": inputs["topic"]}, scopes=["crm:read"], fallback=ARCHIVE, label="compass")
finding = handle.result()
result = {
    "asked": handle.agent,
    "fallback": ARCHIVE.agent,
    "scopes": list(ARCHIVE.scopes),
    "summary": finding["summary"],
}
