"""Agreement of judges: confusion matrix and Cohen's kappa of every pair."""
from collections import Counter
from itertools import combinations, product
from math import isclose

texts, labels, judges = inputs["texts"], inputs["labels"], list(range(1, inputs["judges"] + 1))

grid = gather([[spawn("classify", {"text": t, "labels": labels, "judge": j}, retry=1) for t in texts] for j in judges])
calls = {j: [c["label"] for c in row] for j, row in zip(judges, grid)}


def kappa(a, b):
    n = len(a)
    po = sum(x == y for x, y in zip(a, b)) / n
    ca, cb = Counter(a), Counter(b)
    pe = sum(ca[l] * cb[l] for l in labels) / n ** 2
    return 1.0 if isclose(pe, 1.0) else (po - pe) / (1 - pe)


pairs = {f"{i}-{j}": round(kappa(calls[i], calls[j]), 3) for i, j in combinations(judges, 2)}
confusion = Counter()
for i, j in combinations(judges, 2):
    confusion.update(zip(calls[i], calls[j]))

w = max(len(l) for l in labels) + 2
table = [" " * w + "".join(l.rjust(w) for l in labels)]
for row in labels:
    table.append(row.ljust(w) + "".join(str(confusion[row, col]).rjust(w) for col in labels))

unanimous = [t for t, *ls in zip(texts, *calls.values()) if len(set(ls)) == 1]
result = {
    "kappa": pairs,
    "mean_kappa": round(sum(pairs.values()) / len(pairs), 3) if pairs else None,
    "confusion": table,
    "unanimous": len(unanimous),
    "disputed": [t[:40] for t in texts if t not in unanimous],
    "pairs_seen": sum(confusion[p] for p in product(labels, repeat=2)),
}
