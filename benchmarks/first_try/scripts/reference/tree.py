def shortened(words):
    if len(words) <= 12:
        return spawn("summarise", {"text": " ".join(words), "words": 6})["summary"]
    half = len(words) // 2
    return spawn("summarise", {"text": f"{shortened(words[:half])} {shortened(words[half:])}", "words": 6})["summary"]


result = shortened(inputs["text"].split()).result()
