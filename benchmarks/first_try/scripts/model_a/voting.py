from collections import Counter

JUDGES = 5

votes = gather([
    spawn(
        "classify",
        {"text": inputs["text"], "labels": inputs["labels"], "judge": judge},
        label=f"judge {judge}",
    )
    for judge in range(JUDGES)
])

# On a tie the label that was chosen first, in the order of the judges, wins.
label, count = Counter(v["label"] for v in votes).most_common(1)[0]
result = {"label": label, "votes": count}
