enough = {"type": "object", "properties": {"words": {"minimum": 4}}}
draft = spawn("draft", {"topic": "haiku of rain", "notes": inputs["notes"]}, accept=enough, retry=Retry(attempts=3, backoff=0.01))
result = draft.result()["text"]
