from math import ceil

SEND = ["mail:send"]
people = inputs["people"]
message = inputs["message"]

check = spawn("review", {"text": message}).result()
if not check["approved"]:
    result = {"sent": [], "stopped": "review", "issues": check["issues"]}
else:
    def send(batch):
        handles = {p: spawn("notify", {"to": p, "message": message}, scopes=SEND, label=f"notify {p}") for p in batch}
        outcome = gather(handles, on_error="return")
        ok = {p: o["id"] for p, o in outcome.items() if not isinstance(o, Exception)}
        bad = {p: o.kind for p, o in outcome.items() if isinstance(o, Exception)}
        return ok, bad

    sent, failed, stages = {}, {}, []
    stopped = None
    start = 0
    for fraction in inputs.get("stages", [0.1, 0.5, 1.0]):
        end = ceil(len(people) * fraction)
        batch = people[start:end]
        if not batch:
            continue
        ok, bad = send(batch)
        sent.update(ok)
        failed.update(bad)
        rate = len(bad) / len(batch)
        stages.append(f"{fraction:>4.0%}: {len(ok)}/{len(batch)} sent")
        if rate > inputs.get("max_failure_rate", 0.2):
            stopped = f"failure rate {rate:.0%} at stage {fraction:.0%}"
            break
        start = end
        sleep(0.5)

    result = {"sent": sent, "failed": failed, "stages": stages, "stopped": stopped,
              "not_tried": [p for p in people if p not in sent and p not in failed]}
