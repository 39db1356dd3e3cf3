result = gather({
    language: [spawn("translate", {"text": text, "to": language})["text"] for text in inputs["texts"]]
    for language in inputs["languages"]
})
