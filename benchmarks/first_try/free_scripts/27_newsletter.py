import textwrap
from datetime import date, datetime, timedelta

today = datetime.strptime(inputs["date"], "%Y-%m-%d").date() if "date" in inputs else date.today()
week_start = today - timedelta(days=today.weekday())

sections = {}
for s in inputs["sections"]:
    hit = spawn("search", {"topic": s["topic"], "limit": 1})["hits"][0]
    page = spawn("read_page", {"url": hit["url"]})
    sections[s["heading"]] = {
        "title": hit["title"],
        "url": hit["url"],
        "body": spawn("summarise", {"text": page["text"], "words": s.get("words", 60)})["summary"],
    }

ready = gather(sections, on_error="none")
intro = spawn("draft", {
    "topic": f"Newsletter introduction for the week of {week_start:%d %B %Y}",
    "notes": [v["title"] for v in ready.values() if v["title"]],
}).result()

out = [
    "WEEKLY DIGEST".center(60),
    f"{week_start:%d %b} - {week_start + timedelta(days=6):%d %b %Y}".center(60),
    "",
    textwrap.fill(intro["text"], 60),
]
for number, (heading, s) in enumerate(ready.items(), 1):
    out += ["", f"{number}. {heading.upper()}", "~" * 60]
    if s["body"] is None:
        out.append("   (nothing this week)")
        continue
    out.append(textwrap.fill(s["title"], 60, initial_indent=" * ", subsequent_indent="   "))
    out.append(textwrap.indent(textwrap.fill(textwrap.dedent(s["body"]), 56), "    "))
    out.append(f"    -> {s['url']}")
result = {"subject": f"Digest, week {today.isocalendar().week}", "text": "\n".join(out)}
