from dataclasses import dataclass

MAX_DRAFTS = 6


@dataclass(frozen=True)
class Version:
    number: int
    text: str
    approved: bool


def versions(topic: str, notes):
    feedback: list[str] = []
    for number in range(1, MAX_DRAFTS + 1):
        request = {"topic": topic, "notes": notes}
        if feedback:
            request["feedback"] = list(feedback)
        draft = spawn("draft", request, label=f"draft {number}")
        review = spawn("review", {"text": draft["text"]}, label=f"review {number}")
        text, verdict = gather(draft["text"], review)
        yield Version(number, text, verdict["approved"])
        if verdict["approved"]:
            return
        feedback += verdict["issues"]


*_, last = versions(inputs["topic"], inputs["notes"])
result = {"text": last.text, "drafts": last.number, "approved": last.approved}
