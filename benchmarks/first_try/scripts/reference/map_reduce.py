made = gather([spawn("summarise", {"text": text, "words": 8}) for text in inputs["texts"]])
summaries = [one["summary"] for one in made]
result = {"words": sum(len(one.split()) for one in summaries), "longest": max(summaries, key=len)}
