"""Which agent is asked shows only when the script runs."""
AGENTS = {"find": "research", "send": "mail"}
first = spawn(inputs["agent"], {"vendor": "Acme"})
second = spawn("mail" + inputs["what"], {"text": "hello"})
third = spawn("research", {"vendor": "Acme"}, fallback=inputs["fallback"])
fourth = list(map(spawn, ["mail", "mail"]))


class Asking:
    kind = "mail"

    def __init__(self, agent, other="mail"):
        self.agent = agent
        self.other = other

    def ask(self, text):
        return spawn(self.agent, {"text": text})

    def fine(self, text):
        return [spawn(self.kind, {"text": text}), spawn(self.other, {"text": text})]


fifth = Asking(inputs["agent"]).ask("hello")
fine = [spawn(agent, {"text": "hello"}) for agent in ("summarise", "mail")]
also_fine = spawn(AGENTS[inputs["what"]], {"vendor": inputs["vendor"]})
fine += Asking(inputs["agent"]).fine("hello")
result = gather([first, second, third, *fourth, fifth, *fine, also_fine])
