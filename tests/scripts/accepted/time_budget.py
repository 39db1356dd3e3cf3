"""Refine until the confidence is high or the time budget is spent."""
import time

start = time.time()
deadline = start + inputs["budget"]
confidence, rounds, notes = 0.0, 0, []
while confidence < 0.99 and time.time() < deadline:
    rounds += 1
    finding = spawn("deep_research", {"topic": f"{inputs['topic']} round {rounds}", "hints": notes[-2:]}).result()
    confidence = max(confidence, finding["confidence"])
    notes.append(finding["sources"][0])
result = {"rounds": rounds, "confidence": confidence, "over": time.time() >= deadline, "notes": notes}
