"""The built-in names of a script.

Everything here is harmless on whatever a script can pass to it. Names that are not here do not exist for a script;
`remarks.BUILTIN_ADVICE` says what to use instead.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

from runner.guest.dialect.bounds import power
from runner.guest.dialect.classes import HASH_KEY, Numbers
from runner.guest.dialect.guards import Guards, Registry
from runner.guest.dialect.names import words
from runner.guest.dialect.text import format_of, repr_of

_AS_THEY_ARE = words("""
    None True False Ellipsis NotImplemented abs all any bin bool bytearray bytes callable chr classmethod complex dict
    divmod enumerate filter float frozenset hex int isinstance issubclass iter len list map max min next object oct ord
    property range reversed round set slice sorted staticmethod str sum super tuple zip
""")

_EXCEPTIONS = words("""
    BaseException Exception ArithmeticError AssertionError AttributeError BlockingIOError BrokenPipeError BufferError
    ChildProcessError ConnectionAbortedError ConnectionError ConnectionRefusedError ConnectionResetError EOFError
    EnvironmentError FileExistsError FileNotFoundError FloatingPointError IOError ImportError IndexError
    InterruptedError IsADirectoryError KeyError LookupError ModuleNotFoundError NameError NotADirectoryError
    NotImplementedError OSError OverflowError PermissionError ProcessLookupError ReferenceError RuntimeError
    StopAsyncIteration StopIteration SyntaxError SystemError TimeoutError TypeError UnboundLocalError UnicodeDecodeError
    UnicodeEncodeError UnicodeError UnicodeTranslateError ValueError ZeroDivisionError
    Warning UserWarning DeprecationWarning RuntimeWarning FutureWarning
""")

_OWN = words("type print getattr hasattr setattr delattr vars repr ascii format hash pow")

NAMES = frozenset({*_AS_THEY_ARE, *_EXCEPTIONS, *_OWN})
"""Every built-in name of a script."""

# What a base class of a script may be, besides its own classes and exceptions.
BASES: tuple[type, ...] = (object, str, bytes, int, float, complex, list, tuple, dict, set, frozenset)

_MISSING, _ABSENT = object(), object()


def make_builtins(
    registry: Registry, guards: Guards, numbers: Numbers, kind: type, print_: Callable[..., None]
) -> dict[str, Any]:
    """Return the built-in names of one run."""

    def getattr(o: Any, name: str, default: Any = _MISSING, /) -> Any:
        if type(name) is not str:
            raise TypeError("attribute name must be a string")
        if default is _MISSING and name:
            return guards.read(o, name)
        try:
            if not name:
                raise AttributeError("no attribute has an empty name")
            return guards.read(o, name)
        except AttributeError:
            if default is _MISSING:
                raise
            return default

    def hasattr(o: Any, name: str, /) -> bool:
        return getattr(o, name, _ABSENT) is not _ABSENT

    def setattr(o: Any, name: str, value: Any, /) -> None:
        builtins.setattr(guards.write(o, name), name, value)

    def delattr(o: Any, name: str, /) -> None:
        builtins.delattr(guards.write(o, name), name)

    def vars(o: Any, /) -> dict[str, Any]:
        """A copy: changing it does not change the object."""
        if type(o) not in registry.open or not builtins.hasattr(o, "__dict__"):
            raise TypeError("vars() takes an instance of a class of the script")
        return {name: value for name, value in o.__dict__.items() if name != HASH_KEY}

    def repr(o: Any, /) -> str:
        return repr_of(o)

    def ascii(o: Any, /) -> str:
        return repr_of(o, as_ascii=True)

    def hash(o: Any, /) -> int:
        return numbers.hash_of(o)

    named = {name: builtins.__dict__[name] for name in (*_AS_THEY_ARE, *_EXCEPTIONS)}
    return {
        **named,
        "type": kind,
        "print": print_,
        "getattr": getattr,
        "hasattr": hasattr,
        "setattr": setattr,
        "delattr": delattr,
        "vars": vars,
        "repr": repr,
        "ascii": ascii,
        "format": format_of,
        "hash": hash,
        "pow": power,
    }
