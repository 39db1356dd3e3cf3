"""Try all mirrors at once and keep whichever answers first."""
try:
    page = first_ok([spawn("fetch", {"url": url}) for url in inputs["mirrors"]])
    result = {"title": page["title"], "from": page["url"]}
except TooFewResults as e:
    result = {"error": str(e)}
