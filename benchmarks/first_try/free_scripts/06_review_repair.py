class GaveUp(Exception):
    def __init__(self, topic, rounds, last_issues):
        super().__init__(f"{topic!r} not approved after {rounds} rounds")
        self.topic = topic
        self.rounds = rounds
        self.last_issues = last_issues


def finalize(states, max_rounds):
    """Run all topics through draft/review in lockstep until approved."""
    open_topics = dict(states)
    done = {}
    for round_no in range(1, max_rounds + 1):
        if not open_topics:
            break
        drafts = {
            t: spawn("draft", {"topic": t, "notes": s["notes"], "feedback": s["feedback"]}, retry=1)
            for t, s in open_topics.items()
        }
        reviews = {t: spawn("review", {"text": d["text"]}, retry=1) for t, d in drafts.items()}
        outcome = gather({t: {"draft": drafts[t], "review": reviews[t]} for t in open_topics})
        for t, o in outcome.items():
            if o["review"]["approved"]:
                done[t] = {"text": o["draft"]["text"], "rounds": round_no, "score": o["review"]["score"]}
                del open_topics[t]
            else:
                open_topics[t]["feedback"] += [i for i in o["review"]["issues"] if i not in open_topics[t]["feedback"]]
        log(f"round {round_no}", approved=len(done), open=len(open_topics))
    return done, open_topics


states = {t: {"notes": n, "feedback": []} for t, n in inputs["topics"].items()}
approved, rest = finalize(states, inputs["max_rounds"])
errors = []
for topic, s in rest.items():
    try:
        raise GaveUp(topic, inputs["max_rounds"], s["feedback"])
    except GaveUp as e:
        errors.append({"topic": e.topic, "message": str(e), "issues": e.last_issues[-3:]})

result = {"approved": approved, "gave_up": errors}
