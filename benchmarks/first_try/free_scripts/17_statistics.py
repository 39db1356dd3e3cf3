from statistics import mean, median, pstdev, quantiles
from collections import defaultdict


def describe(values):
    if not values:
        return {"n": 0}
    q = quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return {
        "n": len(values),
        "mean": round(mean(values), 3),
        "median": round(median(values), 3),
        "stdev": round(pstdev(values), 3),
        "q1": round(q[0], 3),
        "q3": round(q[2], 3),
        "min": min(values),
        "max": max(values),
    }


handles = {
    (v, depth): spawn("research", {"vendor": v, "depth": depth}, timeout=15)
    for v in inputs["vendors"]
    for depth in ("quick", "thorough")
}
answers = gather(handles, on_error="none")

confidence = defaultdict(list)
lengths = defaultdict(list)
failures = defaultdict(int)
for (vendor, depth), a in answers.items():
    if a is None:
        failures[depth] += 1
        continue
    confidence[depth].append(a["confidence"])
    lengths[depth].append(len(a["text"].split()))

gains = [
    answers[v, "thorough"]["confidence"] - answers[v, "quick"]["confidence"]
    for v in inputs["vendors"]
    if answers[v, "thorough"] and answers[v, "quick"]
]
result = {
    depth: {"confidence": describe(confidence[depth]), "words": describe(lengths[depth]), "failures": failures[depth]}
    for depth in ("quick", "thorough")
}
result["gain"] = describe(gains)
