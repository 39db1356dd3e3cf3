"""`Handle`: what a script holds of a spawn until its outcome is there.

It is a number, an agent's name and a label, nothing more, and cannot be changed. It hashes by its number, so that
sets and dicts of handles have the same order in every run; `==` is identity. What would be a silent mistake on a
placeholder (truth, iteration, arithmetic, text) is refused with what to write instead.

Not here: handles inside other spawns' inputs or texts; they are refused for now.
"""

from __future__ import annotations

from typing import Any, NoReturn

from runner.guest.conversation import Delivered, current
from runner.guest.errors import SpawnError
from runner.guest.wire import Json


class Handle:
    """One spawn. `result()`, `ok` and `error` wait for its outcome and can be asked again."""

    __slots__ = ("_agent", "_label", "_n")

    _agent: str
    _label: str | None
    _n: int

    def __new__(cls) -> NoReturn:
        raise TypeError("handles come from spawn(): write h = spawn(agent, inputs)")

    def __init_subclass__(cls) -> NoReturn:
        raise TypeError("a class cannot be made from Handle: keep the handle in an attribute")

    @property
    def agent(self) -> str:
        return self._agent

    @property
    def label(self) -> str | None:
        return self._label

    @property
    def ok(self) -> bool:
        """True when the spawn succeeded. Waits for its outcome."""
        return _delivered(self).error is None

    @property
    def error(self) -> SpawnError | None:
        """The exception that `result()` would raise, or None. Waits for the outcome."""
        return _delivered(self).error

    def result(self) -> Json:
        """Return the agent's output, or raise the SpawnError of its failure. Waits for the outcome."""
        outcome = _delivered(self)
        if outcome.error is not None:
            # Without this the trace would begin with that of the last time it was raised.
            raise outcome.error.with_traceback(None)
        return outcome.value

    def cancel(self) -> None:
        """Stop the spawn. A handle whose outcome was delivered stays as it is; any other is Cancelled now."""
        current().cancel(self._n)

    def __hash__(self) -> int:
        return self._n

    def __repr__(self) -> str:
        # Never its state: that would depend on when it is printed.
        name = f"{self._agent} {self._label!r}" if self._label is not None else self._agent
        return f"<Handle {self._n} {name}>"

    def __copy__(self) -> Handle:
        return self

    def __deepcopy__(self, memo: object) -> Handle:
        return self


def make_handle(n: int, agent: str, label: str | None) -> Handle:
    """Return the handle of a spawn that was asked for."""
    handle: Handle = object.__new__(Handle)  # type: ignore[arg-type]
    handle._n = n
    handle._agent = agent
    handle._label = label
    return handle


def number(handle: Handle) -> int:
    """Return the spawn's number."""
    return handle._n


def _delivered(handle: Handle) -> Delivered:
    conversation = current()
    if handle._n not in conversation.delivered:
        conversation.wait((handle._n,), 1)
    return conversation.delivered[handle._n]


# --- what a placeholder refuses --------------------------------------------------------------

_REFUSED = {
    "have no truth value before their outcome is there: write `h.ok`, or `h is not None`": ("__bool__",),
    "cannot be iterated: write `for x in h.result()`": ("__iter__", "__next__", "__reversed__", "__contains__"),
    "have no length: write `len(h.result())`": ("__len__",),
    "have no parts before their outcome is there: write `h.result()[...]`": (
        "__getitem__", "__setitem__", "__delitem__",
    ),
    "cannot be ordered: write `a.result() < b.result()`": ("__lt__", "__le__", "__gt__", "__ge__"),
    "cannot be called: write `h.result()`": ("__call__",),
    "are not numbers or texts: write `h.result()` where the value is needed": (
        *(f"__{side}{name}__" for side in ("", "r", "i") for name in (
            "add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and", "or", "xor",
        )),
        "__divmod__", "__rdivmod__", "__neg__", "__pos__", "__abs__", "__invert__", "__int__", "__float__",
        "__complex__", "__index__", "__round__", "__trunc__", "__floor__", "__ceil__", "__bytes__",
    ),
    "cannot stand in a text before their outcome is there: write `h.result()` inside it": ("__format__",),
    "are not waited for with `with` or `await`: write `h.result()`": (
        "__enter__", "__exit__", "__await__", "__aiter__", "__aenter__",
    ),
    "cannot be pickled": ("__reduce_ex__",),
}  # fmt: skip


def _refusal(advice: str) -> Any:
    def refuse(self: Handle, *others: object) -> NoReturn:
        raise TypeError(f"handles {advice}")

    return refuse


for _advice, _names in _REFUSED.items():
    for _name in _names:
        setattr(Handle, _name, _refusal(_advice))
