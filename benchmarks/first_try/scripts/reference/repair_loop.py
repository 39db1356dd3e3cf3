MOST = 6
feedback = []
for drafts in range(1, MOST + 1):
    draft = spawn("draft", {"topic": inputs["topic"], "notes": inputs["notes"], "feedback": feedback})
    verdict = spawn("review", {"text": draft["text"]}).result()
    if verdict["approved"]:
        break
    feedback += verdict["issues"]
result = {"text": draft.result()["text"], "drafts": drafts, "approved": verdict["approved"]}
