"""Three opinions are enough: cancel the slow ones."""
handles = [spawn("answer", {"question": q}, label=q) for q in inputs["questions"]]
replies = gather(handles, enough=3)
answered = [(h.label, r["answer"]) for h, r in zip(handles, replies) if r]
cancelled = [h.label for h in handles if not h.ok and h.error.kind == "cancelled"]
result = {"answered": answered, "cancelled": cancelled}
