LEAF = 12


def shorten(words: list[str]) -> Handle:
    if len(words) <= LEAF:
        text = " ".join(words)
    else:
        middle = len(words) // 2
        text = f"{shorten(words[:middle])} {shorten(words[middle:])}"
    return spawn("summarise", {"text": text, "words": 6})["summary"]


result = shorten(inputs["text"].split()).result()
