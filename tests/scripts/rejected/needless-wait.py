"""Waits for outputs that only go into other spawns."""
outline = spawn("summarise", {"text": inputs["text"]}).result()
report = spawn("mail", {"body": outline, "subject": f"About {outline}"})

found = gather([spawn("research", {"vendor": vendor}) for vendor in inputs["vendors"]])
briefs = [spawn("summarise", {"text": f"{one['summary']}", "style": "short"}) for one in found]

handles = {vendor: spawn("research", {"vendor": vendor}) for vendor in inputs["vendors"]}
pages = gather(handles)
letters = []
for vendor, page in pages.items():
    letters.append(spawn("mail", {"to": vendor, "body": page}))

everything = gather([spawn("research", {"vendor": vendor}) for vendor in inputs["vendors"]])
whole = spawn("summarise", {"text": everything})

checked = gather([spawn("research", {"vendor": vendor}) for vendor in inputs["vendors"]])
fine = [spawn("summarise", {"text": one}) for one in checked if one["sure"]]
result = gather([report, *briefs, *letters, whole, *fine])
