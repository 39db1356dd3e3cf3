"""Three classifiers with different wordings vote, weighted by their confidence."""
from collections import defaultdict
from operator import itemgetter

wordings = [
    inputs["text"],
    f"Classify: {inputs['text']}",
    inputs["text"].upper(),
]
weights = defaultdict(float)
for vote in gather([spawn("classify", {"text": w, "labels": inputs["labels"]}) for w in wordings]):
    weights[vote["label"]] += vote["confidence"]

ranking = sorted(weights.items(), key=itemgetter(1), reverse=True)
result = {"label": ranking[0][0], "weights": {k: round(v, 2) for k, v in ranking}, "margin": round(ranking[0][1] / sum(weights.values()), 3)}
