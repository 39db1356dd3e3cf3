# Spend at most `budget` calls: each depth costs different "credits".
COST = {"quick": 1, "thorough": 3, "archive": 0.5}
budget = min(inputs["budget"], limits.spawns_left)
spent = 0.0
plan = []

by_value = sorted(inputs["vendors"], key=lambda v: v["contract_value"], reverse=True)
for v in by_value:
    remaining = budget - spent
    share = v["contract_value"] / sum(x["contract_value"] for x in by_value)
    if share > 0.2 and remaining >= COST["thorough"]:
        mode = "thorough"
    elif remaining >= COST["quick"]:
        mode = "quick"
    elif remaining >= COST["archive"]:
        mode = "archive"
    else:
        mode = None
    plan.append((v["name"], mode))
    spent += COST.get(mode, 0)

handles = {}
for name, mode in plan:
    if mode == "archive":
        handles[name] = spawn("archive", {"vendor": name})
    elif mode:
        handles[name] = spawn("research", {"vendor": name, "depth": mode}, fallback="archive")

answers = gather(handles, on_error="none")
result = {
    "spent": spent,
    "budget": budget,
    "utilisation": f"{spent / budget:.0%}" if budget else "n/a",
    "vendors": [
        {"vendor": n, "mode": m or "skipped", "answer": answers.get(n)}
        for n, m in plan
    ],
}
