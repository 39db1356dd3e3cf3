"""Values that no frame can carry."""
first = spawn("mail", {"to": {"a@example.org", "b@example.org"}})
second = spawn("mail", {"body": b"hello", 5: "five"})
third = spawn("mail", {"weight": 1e999})
result = gather(first, second, third)
