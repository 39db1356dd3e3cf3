from graphlib import TopologicalSorter, CycleError

tasks = {t["id"]: t for t in inputs["tasks"]}
graph = {tid: set(t.get("after", [])) for tid, t in tasks.items()}


def launch(task, done):
    deps = {d: done[d] for d in task.get("after", [])}
    if task["kind"] == "research":
        return spawn("research", {"vendor": task["vendor"]}, retry=1, fallback="archive", label=task["id"])["text"]
    if task["kind"] == "search":
        return spawn("search", {"topic": task["topic"], "limit": 5}, label=task["id"])["hits"]
    if task["kind"] == "draft":
        return spawn("draft", {"topic": task["topic"], "notes": deps}, label=task["id"])["text"]
    if task["kind"] == "summarise":
        body = "\n".join(f"{k}: {v}" for k, v in deps.items())
        return spawn("summarise", {"text": body, "words": task.get("words", 30)}, label=task["id"])["summary"]
    if task["kind"] == "translate":
        (only,) = deps.values()
        return spawn("translate", {"text": only, "to": task["to"]}, label=task["id"])["text"]
    raise ValueError(f"task {task['id']}: unknown kind {task['kind']!r}")


try:
    order = list(TopologicalSorter(graph).static_order())
except CycleError as e:
    result = {"error": "cycle", "nodes": e.args[1]}
else:
    missing = [n for n in order if n not in tasks]
    if missing:
        result = {"error": "unknown dependency", "nodes": missing}
    else:
        done = {}
        for tid in order:
            done[tid] = launch(tasks[tid], done)
        result = {"order": order, "outputs": gather(done, on_error="none")}
