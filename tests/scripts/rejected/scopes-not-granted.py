"""Scopes beyond the grant: of the agent, of one that stands in for it, and through a function."""
READ = ["crm:raed"]
first = spawn("research", {"vendor": "Acme"}, scopes=READ)
second = spawn("research", {"vendor": "Acme"}, scopes=["crm:read"], fallback="mail")
third = spawn("research", {"vendor": "Acme"}, fallback=Fallback("mail", scopes=["mail:delete"]))


def ask(agent, **options):
    return spawn(agent, {"vendor": "Acme"}, **options)


fourth = ask("mail", scopes=["mail:send", "crm:read"])
result = gather([first, second, third, fourth])
