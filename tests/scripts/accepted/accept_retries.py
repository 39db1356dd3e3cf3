"""The sloppy agent sometimes forgets a field: two more tries are allowed, and only grades A or B are accepted."""
wanted = {"properties": {"grade": {"enum": ["A", "B"]}}, "required": ["grade"]}
handles = [spawn("sloppy", {"task": t}, retry=2, accept=wanted, label=t) for t in inputs["tasks"]]
graded, rejected = {}, {}
for h in as_completed(handles):
    match h.error:
        case None:
            graded[h.label] = h.result()["grade"]
        case InvalidOutput() as e:
            rejected[h.label] = e.attempts
        case other:
            raise other
result = {"graded": graded, "rejected": rejected}
