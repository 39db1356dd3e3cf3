"""Compare retry rules, and say what each one means."""
from typing import Final

RULES: Final = {
    "none": Retry(attempts=0),
    "once": Retry(),
    "patient": Retry(attempts=2, backoff=4, max_backoff=6),
    "only_timeouts": Retry(attempts=2, on=["timed_out"]),
}
handles = {
    (name, task): spawn("summarise", {"text": task}, retry=rule, label=f"{name}/{task}")
    for name, rule in RULES.items()
    for task in inputs["tasks"]
}
outcomes = gather(handles, on_error="return")
lines = []
for (name, task), outcome in outcomes.items():
    rule = RULES[name]
    said = f"failed x{outcome.attempts}" if isinstance(outcome, SpawnFailed) else "ok"
    lines.append(f"{name:<14}{rule.attempts}/{rule.backoff:g}/{rule.max_backoff:g}  {task:<13}{said}")
result = "\n".join(lines)
