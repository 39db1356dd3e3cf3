result = spawn("summarise", {"text": inputs["text"], "words": 5})["summary"].result()
