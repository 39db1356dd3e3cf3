known = spawn("research", {"vendor": inputs["vendor"]}).result()
message = f"{inputs['vendor']}: {known['confidence'] * 100:.0f} %"
sent = [spawn("notify", {"to": person, "message": message}, scopes=["mail:send"]) for person in inputs["people"]]
result = [one["id"] for one in gather(sent)]
