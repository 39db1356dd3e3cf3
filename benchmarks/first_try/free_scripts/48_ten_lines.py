a = spawn("research", {"vendor": inputs["left"]}, fallback="archive")
b = spawn("research", {"vendor": inputs["right"]}, fallback="archive")
both = f"{inputs['left']}: {a['text']}\n{inputs['right']}: {b['text']}"
pick = spawn("classify", {"text": both, "labels": [inputs["left"], inputs["right"]]})
why = spawn("draft", {"topic": "Why we choose " + pick["label"], "notes": both})
german = spawn("translate", {"text": why["text"], "to": "de"})
result = gather({"choice": pick["label"], "why": why["text"], "warum": german["text"]})
