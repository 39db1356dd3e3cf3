handles = [spawn("fetch", {"url": url}, retry=1) for url in inputs["mirrors"]]
try:
    page = first_ok(handles)
except TooFewResults as error:
    causes = [h.error for h in handles]
    result = {
        "ok": False,
        "kind": error.kind,
        "attempts": [c.attempts for c in causes],
        "messages": [c.message for c in causes],
    }
else:
    result = {"ok": True, "url": page["url"]}
