from collections import Counter

claim = inputs["claim"]
NEED = inputs.get("quorum", 5)
ASKED = inputs.get("asked", 9)

try:
    votes = gather(
        [spawn("classify", {"text": claim, "labels": ["true", "false", "unclear"], "judge": j}, timeout=10) for j in range(ASKED)],
        enough=NEED,
        timeout=25,
    )
except TooFewResults as e:
    partial = [r for r in e.results if isinstance(r, dict)]
    result = {"claim": claim, "status": "no quorum", "votes": len(partial), "error": str(e)}
else:
    valid = [v for v in votes if v]
    weight = Counter()
    for v in valid:
        weight[v["label"]] += v["score"]
    label, score = weight.most_common(1)[0]
    result = {
        "claim": claim,
        "status": "decided",
        "label": label,
        "weight": round(score / sum(weight.values()), 3),
        "votes": Counter(v["label"] for v in valid),
        "not_needed": votes.count(None),
    }
