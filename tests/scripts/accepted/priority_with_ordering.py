"""A priority queue of comparable tickets, own iterator and own context manager."""
import heapq
from functools import total_ordering
from itertools import count

RANK = {"high": 0, "mid": 1, "low": 2}


@total_ordering
class Ticket:
    _numbers = count(1)

    def __init__(self, level, what):
        self.level, self.what = level, what
        self.number = next(Ticket._numbers)

    @classmethod
    def parse(cls, row):
        return cls(*row)

    @staticmethod
    def rank(level):
        return RANK.get(level, 9)

    def _key(self):
        return (self.rank(self.level), self.number)

    def __eq__(self, other):
        return self._key() == other._key()

    def __lt__(self, other):
        return self._key() < other._key()


class Desk:
    def __init__(self, tickets):
        self._heap = list(tickets)
        heapq.heapify(self._heap)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._heap.clear()
        return False

    def __iter__(self):
        while self._heap:
            yield heapq.heappop(self._heap)

    def __len__(self):
        return len(self._heap)


order = []
with Desk(Ticket.parse(row) for row in inputs["tickets"]) as desk:
    batch = []
    for ticket in desk:
        batch.append(spawn("flaky", {"task": ticket.what, "fails": 0}, label=ticket.level))
        if len(batch) == inputs["workers"]:
            order += [(h.label, out["task"]) for h, out in zip(batch, gather(batch))]
            batch.clear()
    order += [(h.label, out["task"]) for h, out in zip(batch, gather(batch))]
result = {"order": order, "left": len(desk)}
