# Research every vendor quickly; the unsure ones get a thorough second look.
vendors = inputs["vendors"]
threshold = inputs.get("threshold", 0.7)

quick = {v: spawn("research", {"vendor": v, "depth": "quick"}, retry=1, fallback="archive", label=f"quick {v}") for v in vendors}
first = gather(quick, on_error="none")

unsure = [v for v, r in first.items() if r is None or r["confidence"] < threshold]
log("second look", count=len(unsure), vendors=unsure)

second = gather(
    {v: spawn("research", {"vendor": v, "depth": "thorough"}, timeout=20, retry=1, label=f"thorough {v}") for v in unsure},
    on_error="none",
)

final = {}
for v in vendors:
    candidates = [r for r in (first.get(v), second.get(v)) if r]
    final[v] = max(candidates, key=lambda r: r["confidence"]) if candidates else None

result = {
    "vendors": final,
    "rechecked": unsure,
    "missing": [v for v, r in final.items() if r is None],
}
