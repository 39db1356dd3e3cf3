"""A small state machine for each order."""
from dataclasses import dataclass, field
from enum import Enum, auto


class State(Enum):
    NEW = auto()
    PRICED = auto()
    APPROVED = auto()
    REJECTED = auto()

    @property
    def final(self) -> bool:
        return self in (State.APPROVED, State.REJECTED)


@dataclass
class Order:
    sku: str
    n: int
    state: State = State.NEW
    log: list[str] = field(default_factory=list)

    def move(self, state: State, why: str = "") -> None:
        self.log.append(f"{self.state.name} -> {state.name}" + (f" ({why})" if why else ""))
        self.state = state


orders = [Order(**row) for row in inputs["orders"]]
open_calls = {}
for order in orders:
    open_calls[spawn("lookup_price", {"sku": order.sku})] = order

for handle in as_completed(open_calls):
    order = open_calls[handle]
    if not handle.ok:
        order.move(State.REJECTED, handle.error.kind)
    elif order.state is State.NEW:
        order.move(State.PRICED)
        open_calls[spawn("picky", {"n": order.n})] = order
    else:
        order.move(State.APPROVED)

result = {o.sku: {"state": o.state.name, "final": o.state.final, "log": o.log} for o in orders}
