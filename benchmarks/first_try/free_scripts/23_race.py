vendor = inputs["vendor"]
racers = [spawn("research", {"vendor": name, "depth": "quick"}, timeout=8) for name in [vendor, *inputs.get("aliases", [])]]
try:
    winner = first_ok(racers)
except SpawnError as e:
    log("nobody answered", kind=e.kind)
    winner = spawn("archive", {"vendor": vendor}).result()

result = {"asked": len(racers), "vendor": winner["vendor"], "text": winner["text"], "live": winner["source"] == "live"}
