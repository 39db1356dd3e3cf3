"""A retry decorator in the script, for what must be checked here."""
from functools import wraps


def retrying(times, on=(SpawnError, ValueError)):
    def decorate(fn):
        @wraps(fn)
        def inner(*args, **kwargs):
            last = None
            for attempt in range(1, times + 1):
                try:
                    return fn(*args, attempt=attempt, **kwargs)
                except on as e:
                    last = e
            raise last

        return inner

    return decorate


@retrying(3)
def grade(task, *, attempt):
    out = spawn("sloppy", {"task": task + "." * (attempt - 1)}).result()
    if out["grade"] == "C":
        raise ValueError(f"{task} got a C")
    return attempt, out["grade"]


graded = {}
for task in inputs["tasks"]:
    try:
        graded[task] = grade(task)
    except (SpawnError, ValueError) as e:
        graded[task] = type(e).__name__
result = {"graded": graded, "name": grade.__name__}
