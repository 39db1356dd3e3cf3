"""For each vendor ask the books and the news at once, have both weighed, and write to the risky ones."""

weighed = []
for vendor in inputs["vendors"]:
    books = spawn("books", {"vendor": vendor}, label=vendor, retry=2)
    mood = spawn("mood", {"headlines": spawn("news", {"vendor": vendor}, label=vendor)["headlines"]}, label=vendor)
    advice = spawn("advise", {"name": books["name"], "owes": books["owes"], "mood": mood["mood"]}, label=vendor)
    weighed.append({"name": books["name"], "risk": advice["risk"], "advice": advice["advice"]})

order = spawn("rank", {"found": [{"name": one["name"], "risk": one["risk"]} for one in weighed]})
known = gather(weighed)
risky = [one for one in known if one["risk"] > 1]
letters = gather([spawn("letter", {"name": one["name"], "advice": one["advice"]}) for one in risky], on_error="none")

result = {"order": order.result()["order"], "letters": [letter and letter["letter"] for letter in letters]}
