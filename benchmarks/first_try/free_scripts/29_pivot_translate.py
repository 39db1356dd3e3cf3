from itertools import permutations
from difflib import SequenceMatcher

text = inputs["text"]
langs = ["de", "fr", "es"]

direct = {l: spawn("translate", {"text": text, "to": l}) for l in langs}
via = {(a, b): spawn("translate", {"text": direct[a]["text"], "to": b}) for a, b in permutations(langs, 2)}

d = gather(direct)
v = gather(via, on_error="none")

matrix = {}
for (a, b), t in v.items():
    if t is None:
        continue
    ratio = SequenceMatcher(None, d[b]["text"].lower(), t["text"].lower()).ratio()
    matrix.setdefault(b, {})[a] = round(ratio, 3)

rows = ["      " + "".join(f"{a:>8}" for a in langs)]
for b in langs:
    rows.append(f"{b:<6}" + "".join(f"{matrix.get(b, {}).get(a, float('nan')):>8.2f}" if a != b else f"{'-':>8}" for a in langs))

result = {
    "translations": {l: t["text"] for l, t in d.items()},
    "agreement": matrix,
    "table": "\n".join(rows),
    "weakest": min(((s, f"{a}->{b}") for b, row in matrix.items() for a, s in row.items()), default=None),
}
