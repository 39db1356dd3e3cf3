import json
import math
import random
from statistics import NormalDist


def sample_size(population, margin=0.15, confidence=0.9, p=0.5):
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    n0 = z * z * p * (1 - p) / margin ** 2
    return min(population, math.ceil(n0 / (1 + (n0 - 1) / population)))


def wilson(k, n, z=1.645):
    if n == 0:
        return (0.0, 1.0)
    phat = k / n
    centre = phat + z * z / (2 * n)
    spread = z * math.sqrt((phat * (1 - phat) + z * z / (4 * n)) / n)
    return tuple(round((centre + s * spread) / (1 + z * z / n), 3) for s in (-1, 1))


def main():
    global result
    records = inputs["records"]
    rng = random.Random(inputs["seed"])
    n = sample_size(len(records))
    sample = rng.sample(records, k=n)

    schema = {
        "type": "object",
        "properties": {"label": {"enum": ["correct", "wrong"]}, "score": {"type": "number", "minimum": 0, "maximum": 1}},
        "required": ["label", "score"],
    }
    checks = []
    for rec in sample:
        fact = spawn("research", {"vendor": rec["vendor"]}, fallback=["archive"], timeout=15)
        question = f"Record: {json.dumps(rec, sort_keys=True)}\nFacts: {fact['text']}\nIs the record correct?"
        checks.append(spawn("classify", {"text": question, "labels": ["correct", "wrong"]}, accept=schema, retry=1))

    verdicts = gather(checks, on_error="none")
    wrong = [r["vendor"] for r, v in zip(sample, verdicts) if v and v["label"] == "wrong"]
    judged = sum(v is not None for v in verdicts)
    low, high = wilson(len(wrong), judged)
    result = {
        "population": len(records),
        "sampled": n,
        "judged": judged,
        "wrong": sorted(wrong),
        "error_rate": f"{len(wrong) / judged:.1%} [{low:.1%}, {high:.1%}]" if judged else "unknown",
    }


if __name__ == "__main__":
    main()
