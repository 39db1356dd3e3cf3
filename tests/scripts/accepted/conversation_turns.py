"""A transcript as a class, with handles inside until the end."""


class Conversation:
    def __init__(self, system):
        self.system = system
        self.turns = []

    def say(self, text):
        request = {"question": f"{self.system} {text}"}
        if self.turns:
            request["context"] = "\n".join(f"{who}: {what}" for who, what in self.turns)
        reply = spawn("answer", request)
        self.turns += [("user", text), ("agent", reply["answer"])]
        return reply

    def transcript(self):
        return gather([list(turn) for turn in self.turns])


talk = Conversation("Be brief.")
replies = [talk.say(t) for t in inputs["turns"]]
result = {"transcript": talk.transcript(), "confidence": [r["confidence"] for r in gather(replies)]}
