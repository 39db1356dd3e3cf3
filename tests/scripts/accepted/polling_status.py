"""Poll until a condition holds, with a growing pause."""
confidence = 0
polls = 0
pause = 1
while confidence < inputs["target"]:
    polls += 1
    reply = spawn("deep_research", {"topic": f"poll {polls}"}).result()
    confidence = reply["confidence"]
    if confidence < inputs["target"]:
        sleep(pause)
        pause = min(pause * 2, 8)
    if polls >= 6:
        break
result = {"polls": polls, "confidence": confidence}
