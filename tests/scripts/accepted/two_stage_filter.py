"""Score in parallel, research only the good ones as their scores come in, and keep the ranking."""
shortlist = {}
scoring = {spawn("score", {"item": idea, "criteria": "fun"}, label=idea): idea for idea in inputs["ideas"]}
for h in as_completed(scoring):
    points = h.result()["score"]
    if points >= 40:
        shortlist[scoring[h]] = (points, spawn("research", {"topic": scoring[h]}))
    else:
        log(f"dropped {scoring[h]}", score=points)

ranked = sorted(shortlist.items(), key=lambda kv: kv[1][0], reverse=True)
details = gather([h for _, (_, h) in ranked])
result = [{"idea": i, "score": p, "hits": len(d["hits"])} for (i, (p, _)), d in zip(ranked, details)]
