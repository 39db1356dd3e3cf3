"""Kinds of failure that there are not, or that would end the same way again."""
again = Retry(attempts=2, on=("timeout", "failed", "denied"))
result = spawn("research", {"vendor": "Acme"}, retry=again).result()
