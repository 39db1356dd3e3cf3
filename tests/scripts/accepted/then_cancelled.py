"""A `then` that is not wanted any more is cancelled; its source lives on."""
sources = [spawn("research", {"topic": t}, label=t) for t in inputs["topics"]]
longer = [s.then(lambda f: spawn("deep_research", {"topic": f["topic"]})) for s in sources]
longer[0].cancel()
outcome = gather(longer, on_error="return")
result = {
    "kinds": [o.kind if isinstance(o, SpawnError) else "ok" for o in outcome],
    "sources": [s.ok for s in sources],
}
