"""More attempts than the policy allows."""
AGAIN = 6
first = spawn("research", {"vendor": "Acme"}, retry=AGAIN)
second = spawn("mail", {"to": "a@example.org"}, retry=Retry(attempts=2))
third = spawn("research", {"vendor": "Acme"}, retry=2, fallback="mail")
result = gather(first, second, third)
