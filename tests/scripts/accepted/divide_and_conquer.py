"""Recursive merge of halves, all as handles: one wait at the very end."""


def combine(parts):
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    left, right = combine(parts[:middle]), combine(parts[middle:])
    return spawn("merge", {"parts": [left, right], "separator": "+"}).then(lambda out: f"({out['text']})")


result = combine(inputs["words"]).result()
