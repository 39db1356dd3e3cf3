"""More time than an agent may take, or one that stands in for it."""
PATIENT = {"timeout": 90, "label": "patient"}
first = spawn("research", {"vendor": "Acme"}, **PATIENT)
second = spawn("mail", {"vendor": "Acme"}, timeout=90.5, fallback="research")
result = gather(first, second)
