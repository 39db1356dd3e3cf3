from enum import Enum


class Lang(str, Enum):
    GERMAN = "de"
    FRENCH = "fr"
    SPANISH = "es"

    @property
    def title(self):
        return self.name.capitalize()


def publish(doc):
    base = spawn("draft", {"topic": doc["topic"], "notes": doc.get("notes", [])}, label=f"draft:{doc['id']}")
    teaser = spawn("summarise", {"text": base["text"], "words": 15})
    versions = {
        lang.value: {
            "language": lang.title,
            "body": spawn("translate", {"text": base["text"], "to": lang.value}, retry=2)["text"],
            "teaser": spawn("translate", {"text": teaser["summary"], "to": lang.value}, retry=2)["text"],
        }
        for lang in Lang
    }
    versions["en"] = {"language": "English", "body": base["text"], "teaser": teaser["summary"]}
    return versions


published = gather({doc["id"]: publish(doc) for doc in inputs["documents"]}, on_error="none")

incomplete = [
    f"{doc_id}/{lang}"
    for doc_id, versions in published.items()
    for lang, v in versions.items()
    if v["body"] is None or v["teaser"] is None
]
result = {"published": published, "incomplete": incomplete}
