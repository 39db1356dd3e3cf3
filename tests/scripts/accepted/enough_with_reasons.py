"""Two pages are enough; for the others keep the reason why not."""
pages = gather([spawn("fetch", {"url": u}, label=u) for u in inputs["urls"]], enough=2, on_error="return")
good = [p["url"] for p in pages if not isinstance(p, SpawnError)]
why = {p.label: p.kind for p in pages if isinstance(p, SpawnError)}
result = {"good": len(good), "reasons": sorted(set(why.values())), "n": len(pages)}
