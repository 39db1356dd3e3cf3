import heapq
import itertools

SEVERITY = {"critical": 0, "high": 1, "normal": 2, "low": 3}
WORKERS = inputs.get("workers", 3)

counter = itertools.count()
queue = []
for t in inputs["tickets"]:
    heapq.heappush(queue, (SEVERITY.get(t["severity"], 2), next(counter), t, 0))

running = {}
order, dead = [], []


def start_next():
    if not queue:
        return
    prio, _, ticket, attempt = heapq.heappop(queue)
    h = spawn("draft", {"topic": f"Reply to: {ticket['subject']}", "notes": ticket["body"]}, label=f"ticket-{ticket['id']}")
    running[h] = (prio, ticket, attempt)


for _ in range(WORKERS):
    start_next()

for h in as_completed(running):
    prio, ticket, attempt = running[h]
    if h.ok:
        order.append({"id": ticket["id"], "priority": prio, "reply": h.result()["text"]})
    elif attempt < 2:
        # failed ones go back with a lower priority
        heapq.heappush(queue, (prio + 1, next(counter), ticket, attempt + 1))
    else:
        dead.append(ticket["id"])
    start_next()

result = {"answered": order, "dead_letters": dead, "left": len(queue)}
