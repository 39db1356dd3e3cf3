from typing import Dict, List

result = None


def summarize_all(topics: List[str]) -> Dict[str, str]:
    handles = {t: spawn(agent="research", inputs={"topic": t}) for t in topics}
    return {t: h.result().get("summary", "") for t, h in handles.items()}


def main():
    global result
    topics = inputs.get("topics", [])
    if not topics:
        result = {"error": "no topics"}
        return
    result = {"summaries": summarize_all(topics), "count": len(topics)}


main()
