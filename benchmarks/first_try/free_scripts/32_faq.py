import re

page = spawn("read_page", {"url": inputs["url"]}, retry=2)
text = page["text"]
questions = inputs["questions"]

drafts = [spawn("draft", {"topic": q, "notes": text}) for q in questions]
shorts = [spawn("summarise", {"text": d["text"], "words": inputs.get("words", 40)}) for d in drafts]
labels = [spawn("classify", {"text": q, "labels": inputs["categories"]}) for q in questions]

answers, cats, title = gather([[s["summary"] for s in shorts], [c["label"] for c in labels], page["title"]])


def slug(q):
    return re.sub(r"[^a-z0-9]+", "-", q.lower()).strip("-")


faq = {c: [] for c in inputs["categories"]}
for q, a, c in zip(questions, answers, cats):
    faq.setdefault(c, []).append({"anchor": slug(q), "q": q, "a": a})

md = [f"# FAQ: {title}"]
for c, entries in faq.items():
    if not entries:
        continue
    md.append(f"\n## {c.title()}")
    md.extend(f"\n### {e['q']} {{#{e['anchor']}}}\n{e['a']}" for e in entries)
result = {"markdown": "\n".join(md), "count": {c: len(e) for c, e in faq.items()}}
