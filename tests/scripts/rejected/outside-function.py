handle = spawn("mail", {"to": "a@example.org"})
yield handle.result()
result = 1
