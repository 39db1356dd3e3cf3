LEAF = 12


def shorten(words: list[str]) -> Handle:
    """Return the handle of the summary of these words, without waiting for it."""
    if len(words) <= LEAF:
        text = " ".join(words)
    else:
        middle = len(words) // 2  # the first half is the smaller one
        left = shorten(words[:middle])
        right = shorten(words[middle:])
        text = f"{left['summary']} {right['summary']}"
    return spawn("summarise", {"text": text, "words": 6})


result = shorten(inputs["text"].split()).result()["summary"]
