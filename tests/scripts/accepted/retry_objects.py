"""Retries by option, with a backoff, for flaky calls."""
policy = Retry(attempts=3, backoff=2, max_backoff=5, on=("failed", "timed_out"))
handles = {name: spawn("flaky", {"task": name, "fails": n}, retry=policy, label=name) for name, n in inputs["tasks"].items()}
outcomes = gather(handles, return_exceptions=True)

summary = {}
for name, outcome in outcomes.items():
    if isinstance(outcome, SpawnError):
        summary[name] = f"{outcome.kind} after {outcome.attempts} attempts"
    else:
        summary[name] = f"ok at attempt {outcome['attempt']}"
result = {"summary": summary, "retries_allowed": policy.attempts, "on": list(policy.on), "max_backoff": policy.max_backoff}
