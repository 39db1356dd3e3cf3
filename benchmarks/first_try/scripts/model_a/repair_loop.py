MAX_DRAFTS = 6

feedback = []
drafts = 0
approved = False
text = ""

while drafts < MAX_DRAFTS and not approved:
    request = {"topic": inputs["topic"], "notes": inputs["notes"]}
    if feedback:
        request["feedback"] = list(feedback)
    draft = spawn("draft", request, label=f"draft {drafts + 1}")
    review = spawn("review", {"text": draft["text"]}, label=f"review {drafts + 1}").result()

    drafts += 1
    text = draft.result()["text"]
    approved = review["approved"]
    feedback.extend(review["issues"])

result = {"text": text, "drafts": drafts, "approved": approved}
