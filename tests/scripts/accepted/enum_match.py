from enum import Enum


class Verdict(Enum):
    GOOD = "good"
    BAD = "bad"


def judge_one(handle: "Handle") -> Verdict:
    return Verdict.GOOD if handle.ok else Verdict.BAD


def colour(verdict: Verdict) -> str:
    match verdict:
        case Verdict.GOOD:
            return "green"
        case Verdict.BAD:
            return "red"


handles = [spawn("picky", {"n": n}) for n in inputs["ns"]]
result = [colour(judge_one(h)) for h in handles]
