"""Structural pattern matching over outcomes and outputs."""


def describe(outcome):
    match outcome:
        case {"square": int(square)} if square > 20:
            return f"big {square}"
        case {"square": square}:
            return f"small {square}"
        case SpawnFailed(message=message):
            return f"failed: {message}"
        case SpawnError(kind=kind):
            return f"other: {kind}"
        case [first, *rest]:
            return f"list of {1 + len(rest)}"
        case _:
            return "?"


handles = [spawn("picky", {"n": n}) for n in inputs["ns"]]
handles.append(spawn("fetch", {"url": "https://" + inputs["extra"]}, timeout=5))
outcomes = gather(handles, on_error="return")
result = [describe(o) for o in outcomes] + [describe([1, 2, 3])]
