"""A longer wait between attempts than the policy allows."""
result = spawn("research", {"vendor": "Acme"}, retry=Retry(attempts=2, backoff=1, max_backoff=45)).result()
