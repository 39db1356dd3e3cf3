confidence = gather(
    {v: spawn("research", {"vendor": v}, label=v)["confidence"] for v in inputs["vendors"]},
    on_error="none",
)
result = {
    "found": {v: c for v, c in confidence.items() if c is not None},
    "failed": [v for v, c in confidence.items() if c is None],
}
