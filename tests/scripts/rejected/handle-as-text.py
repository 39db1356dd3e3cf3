"""A handle is put into a text in ways that need its output."""
found = spawn("research", {"vendor": "Acme"})
brief = spawn("summarise", {"text": f"{found!r}"})
other = spawn("summarise", {"text": f"{found['score']:>8} points"})
third = spawn("summarise", {"text": "found: %s" % found})
fourth = spawn("summarise", {"text": str(found)})
fine = spawn("summarise", {"text": f"found: {found} and {brief!s}" + " that is " + brief})
result = gather([brief, other, third, fourth, fine])
