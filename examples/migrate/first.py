"""Research every vendor at once; name those with complaints, the most first."""

found = gather([spawn("research", {"vendor": v}) for v in inputs["vendors"]])
worst = sorted((f for f in found if f["complaints"] > 10), key=lambda f: -f["complaints"])
result = [{"vendor": f["vendor"], "complaints": f["complaints"]} for f in worst]
