vendor = inputs["vendor"]
live = spawn("research", {"vendor": vendor})
old = spawn("archive", {"vendor": vendor})

if live.ok and live.result()["confidence"] >= 0.5:
    result = live.result()
else:
    result = old.result()
