try:
    result = spawn("mail", {"to": "a@example.org"}).result()
except MemoryError:
    raise SystemExit(1)
