"""Arguments that are not taken so, and one that is missing."""
handle = spawn("mail", {"to": "a@example.org"}, ["mail:send"], 30)
first_ok()
for ready in as_completed([handle], 10):
    print(ready.result(timeout=5))
handle.then()
result = handle.result()
