"""`Handle`: what a script holds of an outcome until it is there.

It is a number, or what it is made of (a part of an output, a text), nothing more, and cannot be changed: the agent's
name, the label and the outcome stand in the conversation. It hashes by number, so that sets and dicts of handles have
the same order in every run; `==` is identity. What would be a silent mistake on a placeholder (truth, iteration,
arithmetic, comparison with a value) is refused with what to write instead.

Not here: outcomes (outcomes), waiting (waiting), which expressions of a script make texts (dialect.text).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from runner.guest.conversation import Delivered, current
from runner.guest.dialect.composing import Composable
from runner.guest.errors import SpawnError
from runner.guest.filling import subscripts
from runner.guest.outcomes import bases
from runner.guest.thens import ask_then
from runner.guest.waiting import outcome
from runner.guest.wire import MAX_DEPTH, Json, Part, Step, Text

# Hashes of handles are far above the whole numbers that a script may keep beside them in one dict or set: those would
# be compared with them otherwise.
_HASH_BASE = 1 << 40
_LARGEST_INDEX = 2**31 - 1


class Handle(Composable):
    """A spawn's outcome to come, a part of it, a text made of some, or what `then` makes of it."""

    __slots__ = ("_known", "_made", "_n")

    _n: int
    """The number of the spawn or then; of a part or text that of the first which it is made of, or 0."""
    _made: Part | Text | None
    """None for a spawn or a then. The pieces of a text may be Listings: it can be printed then, not sent."""
    _known: Delivered | None
    """The outcome of a part or text, once it was worked out."""

    def __new__(cls) -> Handle:
        raise TypeError("handles come from spawn(): write h = spawn(agent, inputs)")

    def __init_subclass__(cls) -> NoReturn:
        raise TypeError("a class cannot be made from Handle: keep the handle in an attribute")

    @property
    def agent(self) -> str | None:
        return None if isinstance(self._made, Text) else current().name_of(self._n)[0]

    @property
    def label(self) -> str | None:
        return None if isinstance(self._made, Text) else current().name_of(self._n)[1]

    @property
    def ok(self) -> bool:
        """True when it succeeded. Waits for its outcome."""
        return outcome(self).error is None

    @property
    def error(self) -> SpawnError | None:
        """The exception that `result()` would raise, or None. Waits for the outcome."""
        return outcome(self).error

    def result(self) -> Json:
        """Return the output, or raise the SpawnError of its failure. Waits for the outcome."""
        told = outcome(self)
        if told.error is not None:
            # Without this the trace would begin with that of the last time it was raised.
            raise told.error.with_traceback(None)
        return told.value

    def then(self, fn: Callable[[Any], Any]) -> Handle:
        """Return a handle of `fn(output)`. Raises LimitReached."""
        return make_handle(ask_then(self, fn))

    def cancel(self) -> None:
        """Stop what it is made of. What was delivered stays as it is; any other is Cancelled now."""
        for n in bases(self):
            current().cancel(n)

    def __getitem__(self, key: str | int | slice) -> Handle:
        made = self._made
        if isinstance(made, Text):
            raise TypeError("a text made of handles has no parts before they are there: write h.result()[...]")
        path = (*(made.path if made else ()), _step(key))
        if len(path) > MAX_DEPTH:
            raise ValueError(f"a part of a handle is at most {MAX_DEPTH} levels down: write h.result()[...]")
        return _make(self._n, Part(self._n, path))

    def __add__(self, other: object) -> Any:
        return _added(self, other, self, other)

    def __radd__(self, other: object) -> Any:
        return _added(self, other, other, self)

    def __hash__(self) -> int:
        made = self._made
        # Ten thousand parts of one output would be one heap otherwise.
        return _HASH_BASE + self._n + ((hash(made.path) & 0xFFFF_FFFF) << 8 if isinstance(made, Part) else 0)

    def __eq__(self, other: object) -> bool:
        if other is None or isinstance(other, Handle):
            return self is other
        raise TypeError(
            f"handles are equal to handles only, and this is a {type(other).__name__}: write `h.result() == ...`"
        )

    def __repr__(self) -> str:
        # Never its state: that would depend on when it is printed.
        return repr(shown(self)) if isinstance(self._made, Text) else shown(self)

    def __str__(self) -> str:
        raise TypeError("handles have no text before their outcome is there: write f\"{h}\", or `h.result()`")

    def __format__(self, spec: str) -> str:
        raise TypeError("a format is for a value, and a handle is none yet: write f\"{h}\", or f\"{h.result():...}\"")

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(_advice_for(name))

    def __copy__(self) -> Handle:
        return self

    def __deepcopy__(self, memo: object) -> Handle:
        return self

    # What the dialect asks of a value that cannot be a text yet.

    def _shown(self) -> str:
        return shown(self)

    def _composed(self, pieces: Iterable[str | Composable]) -> str | Handle:
        return compose(pieces)

    def _listed(self, text: str) -> Composable:
        return Listing(text)


class Listing(Composable):
    """A list or dict with handles in it, as it is shown. A piece of a text; never a value of the script."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def _shown(self) -> str:
        return self.text

    def _composed(self, pieces: Iterable[str | Composable]) -> str | Handle:
        return compose(pieces)


def make_handle(n: int) -> Handle:
    """Return the handle of a spawn or a then that was asked for."""
    return _make(n, None)


def _make(n: int, made: Part | Text | None) -> Handle:
    handle: Handle = object.__new__(Handle)
    handle._n = n
    handle._made = made
    handle._known = None
    conversation = current()
    conversation.handles += 1
    for tell in conversation.newborn:
        tell(handle)
    return handle


def compose(pieces: Iterable[str | Composable]) -> str | Handle:
    """Return the text that these make, joined: a `str` when it has no handle in it.

    Literals beside each other become one, texts in texts are taken apart.
    """
    found: list[Any] = []
    for piece in pieces:
        made = piece._made if isinstance(piece, Handle) else None
        if isinstance(made, Text):
            found.extend(made.parts)
        elif isinstance(piece, Handle):
            found.append(made or Part(piece._n))
        else:
            found.append(str.__str__(piece) if isinstance(piece, str) else piece)
    merged: list[Any] = []
    literal: list[str] = []
    for one in found:
        if isinstance(one, str):
            literal.append(one)
            continue
        if text := "".join(literal):
            merged.append(text)
        literal.clear()
        merged.append(one)
    text = "".join(literal)
    if not merged:
        return text
    first = next((part.handle for part in merged if isinstance(part, Part)), 0)
    return _make(first, Text((*merged, text) if text else tuple(merged)))


def shown(handle: Handle) -> str:
    """Return what `print` shows of it: number, agent and label, never its state."""
    made = handle._made
    if isinstance(made, Text):
        return "".join(_piece_shown(piece) for piece in made.parts)
    return _part_shown(made or Part(handle._n))


def _piece_shown(piece: Any) -> str:
    if isinstance(piece, Part):
        return _part_shown(piece)
    return piece.text if isinstance(piece, Listing) else str(piece)


def _part_shown(part: Part) -> str:
    agent, label = current().name_of(part.handle)
    name = f"{agent} {label!r}" if label is not None else agent
    path = subscripts(part.path)
    return f"<Handle {part.handle} {name}{' ' + path if path else ''}>"


def _step(key: object) -> Step:
    """Return one step into an output. Raises TypeError and ValueError for what is none."""
    if isinstance(key, slice):
        ends = (key.start, key.stop, key.step)
        if key.step == 0:
            raise ValueError("slice step cannot be zero")
        if all(end is None or _is_index(end) for end in ends):
            return ends
    elif isinstance(key, str):
        return str.__str__(key)
    elif _is_index(key):
        return key  # type: ignore[return-value]
    what = "handle" if isinstance(key, Handle) else type(key).__name__
    raise TypeError(f"a part of a handle is named by a key, index or slice, not by a {what}: write h.result()[...]")


def _is_index(key: object) -> bool:
    return type(key) is int and abs(key) <= _LARGEST_INDEX


def _added(handle: Handle, other: object, left: Any, right: Any) -> str | Handle:
    if isinstance(other, str) or (
        isinstance(other, Handle) and (isinstance(handle._made, Text) or isinstance(other._made, Text))
    ):
        return compose((left, right))
    if isinstance(other, Handle):
        raise TypeError('handles are not added to each other: write f"{a}{b}" for a text, or a.result() + b.result()')
    raise TypeError(f"handles {_NO_NUMBERS}")


_FOR = {
    "done": "as_completed(handles) yields each as soon as it is there",
    "wait": "write `h.result()`, or gather(handles)",
    "add_done_callback": "write `h.then(fn)`",
    "exception": "write `h.error`",
    "failed": "write `not h.ok`, or `h.error`",
    "status": "write `h.ok`, or `h.error`",
    "kind": "write `h.error.kind`",
    "name": "write `h.agent`, or `h.label`",
    "id": "write `h.label`",
    "inputs": "keep the inputs yourself",
    **dict.fromkeys(("value", "output", "outputs", "data", "get_result", "response"), "write `h.result()`"),
}
"""What a script may have meant by names that other libraries use."""


def _advice_for(name: str) -> str:
    meant = _FOR.get(name)
    if meant is None and any(hasattr(kind, name) for kind in (str, list, dict)):
        output = f"output.{name}(...)"
        meant = f"the output is not there yet: write `h.result().{name}(...)`, or `h.then(lambda output: {output})`"
    return f"a handle has no `{name}`: " + (meant or f'write `h["{name}"]` for a part of its output')


# --- what a placeholder refuses --------------------------------------------------------------

_NO_NUMBERS = "are not numbers or texts: write `h.result()` where the value is needed"

_REFUSED = {
    "have no truth value before their outcome is there: write `h.ok`, or `h is not None`": ("__bool__",),
    "cannot be iterated: write `for x in h.result()`": ("__iter__", "__next__", "__reversed__"),
    "cannot be searched: write `x in h.result()`": ("__contains__",),
    "have no length: write `len(h.result())`": ("__len__",),
    "cannot be changed: write `value = h.result()` and change that": ("__setitem__", "__delitem__"),
    "cannot be ordered: write `a.result() < b.result()`": ("__lt__", "__le__", "__gt__", "__ge__"),
    _NO_NUMBERS: (
        *(f"__{side}{name}__" for side in ("", "r", "i") for name in (
            "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and", "or", "xor",
        )),
        "__divmod__", "__rdivmod__", "__neg__", "__pos__", "__abs__", "__invert__", "__int__", "__float__",
        "__complex__", "__index__", "__round__", "__trunc__", "__floor__", "__ceil__", "__bytes__",
    ),
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
