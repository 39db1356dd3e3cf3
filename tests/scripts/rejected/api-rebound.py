"""Names of the API that stand for something else."""
from math import log

inputs = {"vendor": "Acme"}


def gather(things):
    return [thing.result() for thing in things]


def ask(inputs, limits=3):
    return spawn("mail", inputs)


class Ledger:
    log = []

    def spawn(self, text):
        return len(text)


result = gather([ask({"to": "a@example.org"})])
