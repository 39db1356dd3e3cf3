translated = gather({
    to: [spawn("translate", {"text": text, "to": to}) for text in inputs["texts"]] for to in inputs["languages"]
})
result = {to: [one["text"] for one in texts] for to, texts in translated.items()}
