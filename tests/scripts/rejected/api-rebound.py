"""Names of the API that stand for something else."""
from math import log
from time import sleep

inputs = {"vendor": "Acme"}


def gather(things):
    return [thing.result() for thing in things]


def ask(inputs, limits=3):
    return spawn("mail", inputs)


class Ledger:
    log = []

    def spawn(self, text):
        return len(text)


Retry = 3
total = log(8, 2)
result = gather([ask({"to": "a@example.org"})])
