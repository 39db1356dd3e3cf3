"""An agent that is nearly listed, one that is not, and one among the fallbacks."""
first = spawn("reserch", {"vendor": inputs["vendor"]})
second = spawn("translate", {"text": "hello"})
third = spawn("research", {"vendor": "Acme"}, fallback=["mail", Fallback("reseach")])


def ask(agent, text):
    return spawn(agent, {"text": text})


fourth = [ask("summarize", text) for text in inputs["texts"]]
result = gather([first, second, third, *fourth])
