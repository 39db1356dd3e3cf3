"""Progress reporting with a closure."""


def make_progress(total):
    done = 0
    failed = 0

    def step(ok):
        nonlocal done, failed
        done += 1
        failed += not ok
        return f"[{done}/{total}] {failed} failed"

    return step


handles = [spawn("sloppy", {"task": t}, retry=1, label=t) for t in inputs["tasks"]]
progress = make_progress(len(handles))
last = ""
for h in as_completed(handles):
    last = progress(h.ok)
    print(last)
result = last
