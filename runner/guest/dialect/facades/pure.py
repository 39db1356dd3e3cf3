"""Facades over modules whose names are safe as they are: no state, no clock, no way out.

Left out on purpose: string.Formatter and Template, functools.wraps and update_wrapper as they stand (they copy any
attribute), operator.attrgetter and methodcaller as they stand, dataclasses.make_dataclass, json's file functions.
"""

from __future__ import annotations

# ruff: noqa: I001
import _strptime  # noqa: F401  (datetime imports it on first use, when nothing can be imported any more)
import abc
import base64
import bisect
import collections
import collections.abc
import copy
import decimal
import encodings.ascii
import encodings.cp1252
import encodings.latin_1
import encodings.utf_16  # noqa: F401  (str.encode would look for them later)
import enum
import fractions
import functools
import heapq
import importlib
import itertools
import json
import math
import operator
import pathlib
import re
import statistics
import string
import textwrap
import unicodedata
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from runner.guest.dialect.bounds import power, shift


def _names(module: ModuleType, names: str) -> dict[str, Any]:
    return {name: getattr(module, name) for name in names.split() if hasattr(module, name)}


def _all_public(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if not name.startswith("_") and callable(value)}


def _hashes() -> dict[str, Any]:
    """The interpreter's own hash functions, not OpenSSL's: that library would be loaded into every guest."""
    found: dict[str, Any] = {}
    for module, names in (
        ("_md5", ["md5"]),
        ("_sha1", ["sha1"]),
        ("_sha256", ["sha224", "sha256"]),
        ("_sha512", ["sha384", "sha512"]),
        ("_sha2", ["sha224", "sha256", "sha384", "sha512"]),
        ("_sha3", ["sha3_224", "sha3_256", "sha3_384", "sha3_512"]),
        ("_blake2", ["blake2b", "blake2s"]),
    ):
        try:
            found.update(_names(importlib.import_module(module), " ".join(names)))
        except ImportError:
            continue
    functions = dict(found)

    def new(name: str, data: bytes = b"", **options: Any) -> Any:
        if name.lower() not in functions:
            raise ValueError(f"unsupported hash type {name}")
        return functions[name.lower()](data, **options)

    return {**found, "new": new, "algorithms_available": frozenset(functions)}


def _deepcopy(x: Any) -> Any:
    """Copy without the caller's `memo`, whose keys would be addresses."""
    return copy.deepcopy(x)


def pure_modules() -> dict[str, Mapping[str, Any]]:
    """Return the names of each facade that is the same in every run."""
    return {
        "abc": _names(abc, "ABC abstractmethod"),
        "base64": _names(
            base64,
            "b64encode b64decode standard_b64encode standard_b64decode urlsafe_b64encode urlsafe_b64decode "
            "b32encode b32decode b32hexencode b32hexdecode b16encode b16decode a85encode a85decode b85encode b85decode",
        ),
        "bisect": _names(bisect, "bisect bisect_left bisect_right insort insort_left insort_right"),
        "collections.abc": _names(collections.abc, " ".join(n for n in collections.abc.__all__ if n not in _ASYNC_ABCS)),
        "copy": {"copy": copy.copy, "deepcopy": _deepcopy, "Error": copy.Error},
        "decimal": _names(
            decimal,
            "Decimal Context getcontext setcontext localcontext BasicContext DefaultContext ExtendedContext ROUND_CEILING "
            "ROUND_DOWN ROUND_FLOOR ROUND_HALF_DOWN ROUND_HALF_EVEN ROUND_HALF_UP ROUND_UP ROUND_05UP DecimalException Clamped "
            "InvalidOperation DivisionByZero Inexact Rounded Subnormal Overflow Underflow FloatOperation",
        ),
        "enum": _names(
            enum, "Enum IntEnum StrEnum Flag IntFlag auto unique KEEP CONFORM EJECT STRICT member nonmember verify UNIQUE"
        ),
        "fractions": _names(fractions, "Fraction"),
        "hashlib": _hashes(),
        "heapq": _names(heapq, "heappush heappop heapify heapreplace heappushpop merge nlargest nsmallest"),
        "itertools": _all_public(itertools),
        "json": _names(json, "dumps loads JSONDecodeError JSONEncoder"),
        "math": _names(math, " ".join(name for name in dir(math) if not name.startswith("_"))),
        "pathlib": _names(pathlib, "PurePosixPath"),
        "re": _names(
            re,
            "compile search match fullmatch split findall finditer sub subn escape purge error PatternError Pattern Match "
            "RegexFlag A ASCII I IGNORECASE M MULTILINE S DOTALL X VERBOSE U UNICODE NOFLAG",
        ),
        "statistics": _names(
            statistics,
            "mean fmean geometric_mean harmonic_mean median median_low median_high median_grouped mode multimode quantiles "
            "pstdev pvariance stdev variance covariance correlation linear_regression NormalDist StatisticsError",
        ),
        "string": _names(
            string, "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits printable punctuation "
            "whitespace capwords"
        ),
        "textwrap": _names(textwrap, "dedent indent wrap fill shorten"),
        "unicodedata": _names(
            unicodedata,
            "normalize is_normalized name lookup category bidirectional combining east_asian_width mirrored decomposition "
            "decimal digit numeric unidata_version",
        ),
    }  # fmt: skip


_ASYNC_ABCS = {"Awaitable", "Coroutine", "AsyncIterable", "AsyncIterator", "AsyncGenerator", "ByteString", "Buffer"}

SAFE_OPERATORS: dict[str, Any] = {
    **_names(
        operator,
        "add sub mul truediv floordiv mod matmul neg pos invert inv abs and_ or_ xor not_ rshift truth lt le gt ge eq ne "
        "is_ is_not contains countOf indexOf index concat getitem setitem delitem itemgetter iadd isub imul iconcat",
    ),
    "pow": power,
    "lshift": shift,
}

SAFE_FUNCTIONS = _names(functools, "reduce partial lru_cache cache cached_property total_ordering cmp_to_key")
SAFE_COLLECTIONS = _names(collections, "Counter OrderedDict defaultdict deque ChainMap UserDict UserList")
