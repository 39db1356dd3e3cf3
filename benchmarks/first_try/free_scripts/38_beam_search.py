from heapq import nlargest
from typing import NamedTuple


class Node(NamedTuple):
    score: float
    text: str
    issues: tuple
    path: tuple


BEAM, WIDTH, DEPTH = inputs.get("beam", 2), inputs.get("width", 3), inputs.get("depth", 2)
hints = inputs["hints"]
topic = inputs["topic"]


def expand(node):
    for k, hint in enumerate(hints[:WIDTH]):
        d = spawn("draft", {"topic": topic, "notes": node.text, "feedback": [*node.issues, hint]})
        yield {"text": d["text"], "review": spawn("review", {"text": d["text"]}), "path": [*node.path, k]}


beam = [Node(0.0, "", (), ())]
best = None
for level in range(DEPTH):
    children = gather([child for node in beam for child in expand(node)], on_error="none")
    nodes = [
        Node(c["review"]["score"], c["text"], tuple(c["review"]["issues"]), tuple(c["path"]))
        for c in children
        if c["review"] is not None and c["text"] is not None
    ]
    if not nodes:
        break
    beam = nlargest(BEAM, nodes, key=lambda n: n.score)
    if best is None or beam[0].score > best.score:
        best = beam[0]
    log("level", level=level, candidates=len(nodes), best=best.score)

assert best is not None, "no draft could be reviewed"
result = {"text": best.text, "score": best.score, "path": "/".join(map(str, best.path)), "open_issues": list(best.issues)}
