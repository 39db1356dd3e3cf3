motion = inputs["motion"]
rounds = inputs.get("rounds", 2)
sides = {"pro": "Argue for the motion", "con": "Argue against the motion"}

speech = {s: spawn("draft", {"topic": f"{how}: {motion}", "notes": []}, label=f"{s} opening") for s, how in sides.items()}
transcript = [speech.copy()]
for r in range(rounds):
    speech = {
        me: spawn(
            "draft",
            {
                "topic": f"{sides[me]}: {motion}",
                "notes": {"your last speech": speech[me]["text"], "opponent": speech[other]["text"]},
                "feedback": [f"Answer this point of your opponent: {speech[other]['text']}"],
            },
            label=f"{me} reply {r + 1}",
        )
        for me, other in (("pro", "con"), ("con", "pro"))
    }
    transcript.append(speech.copy())

full = "\n---\n".join(f"{side.upper()}: {s['text']}" for turn in transcript for side, s in turn.items())
jury = [spawn("classify", {"text": f"Motion: {motion}\n{full}", "labels": ["pro", "con"], "judge": j}) for j in range(1, 8)]

votes, speeches = gather((jury, transcript))
pro = sum(1 for v in votes if v["label"] == "pro")
result = {
    "winner": "pro" if pro > len(votes) / 2 else "con",
    "votes": f"{pro}:{len(votes) - pro}",
    "transcript": [{side: s["text"] for side, s in turn.items()} for turn in speeches],
}
