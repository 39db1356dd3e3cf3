import statistics

vendor = inputs["vendor"]
labels = ["low risk", "medium risk", "high risk"]
weights = dict(zip(labels, (0.0, 0.5, 1.0)))

opinions = gather(
    [
        spawn("research", {"vendor": vendor, "depth": "thorough"}, retry=2),
        spawn("research", {"vendor": vendor, "depth": "quick"}, retry=2),
        spawn("archive", {"vendor": vendor}),
    ],
    min_ok=2,
)
opinions = [o for o in opinions if o is not None]
dossier = "\n\n".join(f"[{o['source']} {o['confidence']:.2f}] {o['text']}" for o in opinions)

round_no, agreed = 0, None
history = []
while agreed is None and round_no < inputs.get("max_rounds", 3):
    size = 3 + 2 * round_no
    panel = gather([spawn("classify", {"text": dossier, "labels": labels, "judge": 100 * round_no + j}) for j in range(size)])
    picked = statistics.multimode(p["label"] for p in panel)
    share = sum(p["label"] == picked[0] for p in panel) / size
    risk = statistics.fmean(weights[p["label"]] * p["score"] for p in panel)
    history.append({"round": round_no + 1, "panel": size, "leading": picked, "share": round(share, 2), "risk": round(risk, 3)})
    if len(picked) == 1 and share >= inputs.get("quorum", 2 / 3):
        agreed = picked[0]
    round_no += 1

result = {"vendor": vendor, "verdict": agreed or "no consensus", "history": history, "sources": [o["source"] for o in opinions]}
