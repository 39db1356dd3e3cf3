def letters(s: str) -> int:
    """Number of letters in s (spaces, digits and punctuation do not count)."""
    return sum(ch.isalpha() for ch in s)


outputs = gather([spawn("summarise", {"text": t, "words": 8}) for t in inputs["texts"]])
summaries: list[str] = [o["summary"] for o in outputs]

result = {
    "words": sum(len(s.split()) for s in summaries),
    "longest": max(summaries, key=letters, default=""),
}
