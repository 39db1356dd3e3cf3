"""Several repair loops at once: whatever comes back decides what is spawned next."""
stage = {}
for task in inputs["tasks"]:
    h = spawn("write_code", {"task": task}, label=task)
    stage[h] = ("written", task, None)

final = {}
rounds = {task: 0 for task in inputs["tasks"]}
for h in as_completed(stage):
    what, task, code = stage[h]
    out = h.result()
    if what in ("written", "fixed"):
        stage[spawn("check_code", {"code": out["code"]})] = ("checked", task, out["code"])
    elif out["ok"]:
        final[task] = code
    else:
        rounds[task] += 1
        stage[spawn("fix_code", {"code": code, "errors": out["errors"]})] = ("fixed", task, None)
result = {"final": dict(sorted(final.items())), "rounds": rounds}
