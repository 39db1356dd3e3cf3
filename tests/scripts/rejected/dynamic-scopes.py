"""Which scopes are asked for shows only when the script runs; also through a function."""


def ask(agent, text, **options):
    options["label"] = text
    return spawn(agent, {"text": text}, **options)


def plainly(agent, text, **options):
    return spawn(agent, {"text": text}, **options)


first = spawn("research", {"vendor": "Acme"}, scopes=inputs["scopes"])
second = spawn("research", {"vendor": "Acme"}, scopes=["crm:read", inputs["scope"]])
third = spawn("mail", {"to": "a@example.org"}, **inputs["options"])
fourth = ask("mail", "hello", scopes=["mail:send"])
fifth = plainly("mail", "hello", scopes=["mail:" + inputs["what"]])
fine = plainly("mail", "hello", scopes=["mail:send"])
result = gather([first, second, third, fourth, fifth, fine])
