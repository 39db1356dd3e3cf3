import traceback
from collections import Counter


class PipelineError(Exception):
    """Base class of what can go wrong here."""
    stage = "unknown"


class SearchStageError(PipelineError):
    stage = "search"


class ReadStageError(PipelineError):
    stage = "read"


class EmptyTopicError(PipelineError):
    stage = "validation"


def run(topic):
    if not isinstance(topic, str) or not topic.strip():
        raise EmptyTopicError(f"bad topic {topic!r}")
    try:
        hits = spawn("search", {"topic": topic, "limit": 3}, retry=1).result()["hits"]
    except SpawnError as e:
        raise SearchStageError(topic) from e
    pages = [spawn("read_page", {"url": h["url"]}) for h in hits]
    try:
        texts = gather(pages, min_ok=1)
    except TooFewResults as e:
        raise ReadStageError(f"{topic}: none of {len(pages)} pages") from e
    return [p["title"] for p in texts if p]


ok, report = {}, []
for topic in inputs["topics"]:
    try:
        ok[topic] = run(topic)
    except PipelineError as e:
        cause = e.__cause__
        report.append({
            "topic": topic,
            "stage": e.stage,
            "type": type(e).__name__,
            "message": str(e),
            "cause": getattr(cause, "kind", None),
            "trace": traceback.format_exception_only(type(e), e)[-1].strip(),
        })
    except Exception as e:
        report.append({"topic": topic, "stage": "?", "type": e.__class__.__name__, "message": str(e)})
    else:
        log("done", topic=topic)

result = {"ok": ok, "errors": report, "by_stage": dict(Counter(r["stage"] for r in report))}
