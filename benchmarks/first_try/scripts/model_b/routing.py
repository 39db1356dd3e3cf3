from enum import Enum
from functools import partial


class Subject(str, Enum):
    TEA = "tea"
    OTHER = "other"


LABELS = [s.value for s in Subject]


def treat(text: str, label: str) -> Handle:
    match Subject(label):
        case Subject.TEA:
            return spawn("translate", {"text": text, "to": "fr"})["text"]
        case Subject.OTHER:
            return spawn("summarise", {"text": text, "words": 4})["summary"]


result = gather([
    spawn("classify", {"text": text, "labels": LABELS})["label"].then(partial(treat, text))
    for text in inputs["texts"]
])
