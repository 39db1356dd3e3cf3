import itertools
import random


class Player:
    K = 32
    __slots__ = ("name", "text", "rating", "wins", "losses")

    def __init__(self, name, text, rating=1000.0):
        self.name, self.text, self.rating = name, text, rating
        self.wins = self.losses = 0

    def expected(self, other):
        return 1 / (1 + 10 ** ((other.rating - self.rating) / 400))

    def beats(self, other):
        gain = self.K * (1 - self.expected(other))
        self.rating += gain
        other.rating -= gain
        self.wins += 1
        other.losses += 1

    def __lt__(self, other):
        return self.rating < other.rating

    def __repr__(self):
        return f"<{self.name} {self.rating:.0f}>"


slogans = gather({s: spawn("draft", {"topic": f"Slogan for {inputs['product']}", "notes": s})["text"] for s in inputs["styles"]})
players = [Player(n, t) for n, t in slogans.items()]

games = list(itertools.combinations(players, 2)) * inputs.get("legs", 2)
random.shuffle(games)
table = {}
for n, (a, b) in enumerate(games):
    if random.random() < 0.5:  # no advantage for going first
        a, b = b, a
    h = spawn("classify", {"text": f"Better slogan?\nfirst: {a.text}\nsecond: {b.text}", "labels": ["first", "second"], "judge": n})
    table[h] = (a, b)

void = 0
for h in as_completed(table):
    a, b = table[h]
    if not h.ok:
        void += 1
    elif h.result()["label"] == "first":
        a.beats(b)
    else:
        b.beats(a)

ranking = sorted(players, reverse=True)
log("ranking", order=[repr(p) for p in ranking])
result = {
    "ranking": [f"{i}. {p.name:<12}{p.rating:>8.1f}  {p.wins}W/{p.losses}L" for i, p in enumerate(ranking, 1)],
    "best": ranking[0].text,
    "games": len(games),
    "void": void,
}
