"""Small functional pieces: partial application, a composed chain, a reduction."""
from functools import partial, reduce

to_language = {lang: partial(spawn, "translate") for lang in ("de", "fr")}
handles = {lang: call({"text": inputs["text"], "language": lang}) for lang, call in to_language.items()}


def shorten(text, words):
    return spawn("summarise", {"text": text, "max_words": words})["summary"]


steps = [partial(shorten, words=n) for n in (6, 4, 2)]
short = reduce(lambda text, step: step(text), steps, inputs["text"])
result = {"translated": {k: v["text"] for k, v in gather(handles).items()}, "short": short.result()}
