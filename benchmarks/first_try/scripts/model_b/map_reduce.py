def letters(text: str) -> int:
    return sum(map(str.isalpha, text))


summaries = gather([spawn("summarise", {"text": t, "words": 8})["summary"] for t in inputs["texts"]])

result = {
    "words": sum(len(s.split()) for s in summaries),
    "longest": max(summaries, key=letters, default=""),
}
