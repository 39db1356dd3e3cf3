"""Look again at unsure topics as soon as each one is known, without a barrier."""


def look_again(finding):
    if finding["confidence"] < 0.6:
        return {"topic": finding["topic"], "summary": spawn("deep_research", {"topic": finding["topic"]})["summary"], "again": True}
    return {"topic": finding["topic"], "summary": finding["summary"], "again": False}


handles = [spawn("research", {"topic": t}).then(look_again) for t in inputs["topics"]]
result = gather(handles)
