from bisect import bisect

BREAKPOINTS, GRADES = [20, 40, 60, 80], "FDCBA"


def grade(points: int) -> str:
    return GRADES[bisect(BREAKPOINTS, points)]


scores = gather({item: spawn("score", {"item": item, "criteria": "style"}) for item in inputs["items"]})
result = {item: (s["score"], grade(s["score"])) for item, s in scores.items()}
