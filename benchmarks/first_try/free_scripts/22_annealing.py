import math
import random

random.seed(inputs.get("seed", 42))

topic = inputs["topic"]
TWEAKS = inputs.get("tweaks", ["be shorter", "use an example", "start with a question", "cut adjectives", "add a number"])
temperature = inputs.get("temperature", 0.3)
cooling = 0.7


def evaluate(feedback):
    d = spawn("draft", {"topic": topic, "notes": inputs.get("notes"), "feedback": sorted(feedback)})
    r = spawn("review", {"text": d["text"]})
    return d, r


def neighbour(current):
    flip = random.choice(TWEAKS)
    return current ^ {flip}


current = frozenset()
d, r = gather(evaluate(current))
current_score = best_score = r["score"]
best_text, best_set = d["text"], current
trace = [(0, temperature, current_score, "start")]

for step in range(1, inputs.get("steps", 5) + 1):
    if limits.spawns_left < 6 or limits.seconds_left < 8:
        log("stopping early", step=step)
        break
    # three neighbours at once, the best of them is the proposal
    options = list({neighbour(current) for _ in range(3)})
    evaluated = gather([evaluate(o) for o in options])
    proposal, (d, r) = max(zip(options, evaluated), key=lambda x: x[1][1]["score"])
    delta = r["score"] - current_score
    if delta >= 0 or random.random() < math.exp(delta / temperature):
        current, current_score = proposal, r["score"]
        verdict = "accepted" if delta >= 0 else "accepted (worse)"
    else:
        verdict = "rejected"
    if r["score"] > best_score:
        best_score, best_text, best_set = r["score"], d["text"], proposal
    trace.append((step, round(temperature, 4), round(r["score"], 3), verdict))
    temperature *= cooling

result = {
    "best": best_text,
    "score": round(best_score, 3),
    "tweaks": sorted(best_set),
    "trace": ["step {:>2} T={:.3f} score={:.3f} {}".format(*t) for t in trace],
}
