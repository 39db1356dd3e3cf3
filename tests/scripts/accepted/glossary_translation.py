"""Translate the terms first, then let the text be translated with the glossary in view."""
import re

glossary = {t: spawn("translate", {"text": t, "language": "ja"})["text"] for t in inputs["terms"]}
context = "; ".join(f"{term} = {translated}" for term, translated in glossary.items())
body = spawn("write", {"instructions": "Translate with this glossary: " + context, "context": inputs["text"]})
marked = re.sub(r"\b(" + "|".join(map(re.escape, inputs["terms"])) + r")\b", lambda m: m.group(1).upper(), inputs["text"])
result = {"body": body.result()["text"], "marked": marked, "terms": list(glossary)}
