"""A registry of handlers, filled by a decorator."""
from collections.abc import Callable

HANDLERS: dict[str, Callable[[str], "Handle"]] = {}


def handler(kind):
    def register(fn):
        HANDLERS[kind] = fn
        return fn

    return register


@handler("price")
def price(item):
    return spawn("lookup_price", {"sku": item})


@handler("score")
def score(item):
    return spawn("score", {"item": item})


work, unknown = [], []
for number, kind in enumerate(inputs["kinds"], start=1):
    fn = HANDLERS.get(kind)
    if fn is None:
        unknown.append(kind)
        continue
    work.append((kind, fn(f"A-{number}")))
outputs = gather([h for _, h in work])
result = {"done": [[k, sorted(o)] for (k, _), o in zip(work, outputs)], "unknown": unknown}
