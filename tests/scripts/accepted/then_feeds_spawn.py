"""A `then` value as the input of another spawn, whole and in a text."""
extracted = spawn("extract", {"text": inputs["text"], "fields": ["name", "age"]})
person = extracted.then(lambda e: {k: v for k, v in e["values"].items() if v})
age_next_year = extracted["values"]["age"].then(lambda age: int(age) + 1)

letter = spawn("write", {"instructions": f"Write to {person['name']}, who will be {age_next_year}", "context": person})
scored = spawn("score", {"item": person})
text, points = gather(letter, scored)
result = {"text": text["text"], "reason": points["reason"], "age": age_next_year.result()}
