"""More agents that stand in than the policy allows."""
result = spawn("research", {"vendor": "Acme"}, fallback=["mail", "research", "mail", "research"]).result()
