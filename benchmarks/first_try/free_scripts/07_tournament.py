import random

rng = random.Random(inputs.get("seed", 7))
topic, angles = inputs["topic"], list(inputs["angles"])

entries = gather({a: spawn("draft", {"topic": f"{topic} ({a})", "notes": [a]}) for a in angles})
rounds = []
alive = angles[:]
rng.shuffle(alive)

while len(alive) > 1:
    bye = alive.pop() if len(alive) % 2 else None
    pairs = list(zip(alive[::2], alive[1::2]))
    ballots = gather([
        [
            spawn("classify", {
                "text": f"Which one is better?\n\nA:\n{entries[x]['text']}\n\nB:\n{entries[y]['text']}",
                "labels": ["A", "B"],
                "judge": j,
            })
            for j in (1, 2, 3)
        ]
        for x, y in pairs
    ])
    winners = []
    record = []
    for (x, y), votes in zip(pairs, ballots):
        for_a = sum(v["label"] == "A" for v in votes)
        w = x if for_a >= 2 else y
        winners.append(w)
        record.append(f"{x} vs {y}: {for_a}-{3 - for_a} -> {w}")
    if bye is not None:
        winners.append(bye)
        record.append(f"{bye}: bye")
    rounds.append(record)
    alive = winners

result = {"champion": alive[0], "text": entries[alive[0]]["text"], "rounds": rounds}
