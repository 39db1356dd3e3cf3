import datetime as dt
from operator import itemgetter

today = dt.date.fromisoformat(inputs["today"])


def days_left(c):
    return (dt.date.fromisoformat(c["ends"]) - today).days


contracts = sorted(({**c, "days": days_left(c)} for c in inputs["contracts"]), key=itemgetter("days"))
expired = [c["vendor"] for c in contracts if c["days"] < 0]
soon = [c for c in contracts if 0 <= c["days"] <= inputs.get("horizon_days", 90)]

memos = []
for c in soon:
    facts = spawn(
        "research",
        {"vendor": c["vendor"], "depth": "thorough" if c["days"] < 30 else "quick"},
        retry=1,
        fallback="archive",
        label=f"{c['vendor']} ({c['days']} d)",
    )
    memo = spawn("draft", {
        "topic": f"Renewal of {c['vendor']}, ends {dt.date.fromisoformat(c['ends']):%d.%m.%Y}",
        "notes": {"facts": facts["text"], "confidence": facts["confidence"], "annual_cost": f"{c['cost']:,.2f} EUR"},
    })
    memos.append({"vendor": c["vendor"], "days": c["days"], "memo": memo["text"], "source": facts["source"]})

done = gather(memos)
for m in done:
    if m["days"] < 30:
        spawn("notify", {"to": inputs["owner"], "message": f"{m['vendor']}: {m['days']} days left.\n{m['memo']}"}, scopes=["mail:send"]).result()

result = {"as_of": today.isoformat(), "expired": expired, "memos": done, "total_at_stake": sum(c["cost"] for c in soon)}
