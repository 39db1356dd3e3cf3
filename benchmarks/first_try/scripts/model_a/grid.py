handles = {
    lang: [spawn("translate", {"text": text, "to": lang}) for text in inputs["texts"]]
    for lang in inputs["languages"]
}
translated = gather(handles)
result = {lang: [t["text"] for t in outputs] for lang, outputs in translated.items()}
