vendors = inputs["vendors"]
outcome = gather({v: spawn("research", {"vendor": v}) for v in vendors}, on_error="none")

result = {
    "found": {v: r["confidence"] for v, r in outcome.items() if r is not None},
    "failed": [v for v in vendors if outcome[v] is None],
}
