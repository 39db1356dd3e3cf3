from enum import Enum, auto


class State(Enum):
    NEW = auto()
    RESEARCHED = auto()
    DRAFTED = auto()
    REJECTED = auto()
    APPROVED = auto()
    FAILED = auto()


TERMINAL = {State.APPROVED, State.FAILED}


class Ticket:
    def __init__(self, topic):
        self.topic = topic
        self.state = State.NEW
        self.trail = [State.NEW.name]
        self.notes = None
        self.text = None
        self.feedback = []
        self.tries = 0

    def move(self, state):
        self.state = state
        self.trail.append(state.name)

    def start(self):
        """Spawn whatever the current state asks for."""
        match self.state:
            case State.NEW:
                return spawn("search", {"topic": self.topic, "limit": 3}, retry=1)
            case State.RESEARCHED | State.REJECTED:
                self.tries += 1
                return spawn("draft", {"topic": self.topic, "notes": self.notes, "feedback": self.feedback})
            case State.DRAFTED:
                return spawn("review", {"text": self.text})
            case _:
                raise ValueError(f"no action in {self.state}")

    def finish(self, out):
        match self.state, out:
            case _, None:
                self.move(State.FAILED)
            case State.NEW, {"hits": []}:
                self.move(State.FAILED)
            case State.NEW, {"hits": [*hits]}:
                self.notes = [h["title"] for h in hits]
                self.move(State.RESEARCHED)
            case (State.RESEARCHED | State.REJECTED), {"text": text}:
                self.text = text
                self.move(State.DRAFTED)
            case State.DRAFTED, {"approved": True}:
                self.move(State.APPROVED)
            case State.DRAFTED, {"approved": False, "issues": issues} if self.tries < inputs.get("max_tries", 3):
                self.feedback = issues
                self.move(State.REJECTED)
            case State.DRAFTED, _:
                self.move(State.FAILED)


tickets = [Ticket(t) for t in inputs["topics"]]
owner = {t.start(): t for t in tickets}
for h in as_completed(owner):
    t = owner[h]
    t.finish(h.result() if h.ok else None)
    if t.state not in TERMINAL:
        owner[t.start()] = t

result = {t.topic: {"state": t.state.name, "trail": " > ".join(t.trail), "text": t.text} for t in tickets}
