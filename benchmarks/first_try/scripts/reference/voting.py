from collections import Counter

asked = [
    spawn("classify", {"text": inputs["text"], "labels": inputs["labels"], "judge": judge}, label=f"judge {judge}")
    for judge in range(5)
]
label, votes = Counter(one["label"] for one in gather(asked)).most_common(1)[0]
result = {"label": label, "votes": votes}
