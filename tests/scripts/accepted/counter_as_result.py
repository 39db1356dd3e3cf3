"""Count labels; the tally goes out as it is."""
from collections import Counter, defaultdict

labels = [c["label"] for c in gather([spawn("classify", {"text": t, "labels": inputs["labels"]}) for t in inputs["texts"]])]
groups = defaultdict(list)
for text, label in zip(inputs["texts"], labels):
    groups[label].append(text)

result = {"tally": Counter(labels), "groups": groups}
