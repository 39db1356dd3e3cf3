finding = spawn("research", {"topic": inputs["topic"]}, label="finding")
beyond = spawn("summarise", {"text": finding["hits"][40]["title"]}, label="beyond")
typo = spawn("summarise", {"text": finding["sumary"]})
fine = spawn("summarise", {"text": finding["summary"]})

problems = []
for h in [beyond, typo, fine]:
    if isinstance(h.error, DependencyFailed):
        problems.append((h.label, h.error.kind, h.error.cause.label if h.error.cause else None))
result = {"problems": problems, "fine": fine.result()["words"]}
