live = spawn("research", {"vendor": inputs["vendor"]})
old = spawn("archive", {"vendor": inputs["vendor"]})
fresh, stored = gather(live, old)
result = fresh if fresh["confidence"] >= 0.5 else stored
