result = spawn("summarise", {"text": inputs["text"], "words": 5}).result()["summary"]
