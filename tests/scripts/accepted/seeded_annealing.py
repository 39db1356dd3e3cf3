"""Simulated annealing over the scores of an agent, with a seeded generator."""
import math
import random

rng = random.Random(inputs["seed"])


def energy(n: int) -> int:
    return -spawn("score", {"item": f"setting {n}"}).result()["score"]


current, e_current = inputs["start"], energy(inputs["start"])
best, e_best = current, e_current
temperature = 30.0
path = [current]
for _ in range(inputs["steps"]):
    candidate = current + rng.choice([-2, -1, 1, 2])
    e_candidate = energy(candidate)
    if e_candidate < e_current or rng.random() < math.exp((e_current - e_candidate) / temperature):
        current, e_current = candidate, e_candidate
    if e_current < e_best:
        best, e_best = current, e_current
    temperature *= 0.8
    path.append(current)
result = {"best": best, "score": -e_best, "path": path}
