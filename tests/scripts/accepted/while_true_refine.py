"""while True with several exits."""
draft = inputs["goal"]
step = 0
reason = None
while True:
    step += 1
    if step > 5:
        reason = "too many steps"
        break
    review = spawn("critic", {"draft": draft}).result()
    if review["approved"]:
        reason = "approved"
        break
    fixes = [issue.removeprefix("add ") for issue in review["issues"]]
    draft = f"{draft}, {fixes[0]}"
result = {"draft": draft, "steps": step, "reason": reason}
