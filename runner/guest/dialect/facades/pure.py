"""Facades over modules whose names are safe as they are: no state, no clock, no way out.

Left out on purpose: string.Formatter and Template, functools.wraps and update_wrapper as they stand (they copy any
attribute), operator.attrgetter and methodcaller as they stand, dataclasses.make_dataclass, json's file functions.
"""

from __future__ import annotations

import abc
import base64
import bisect
import collections
import collections.abc
import copy
import decimal
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
from runner.guest.dialect.composing import composable_in
from runner.guest.dialect.names import words
from runner.guest.dialect.text import percent

# Python imports these on first use, and then nothing can be imported any more.
for _late in words("""
    _strptime encodings.ascii encodings.latin_1 encodings.cp1252 encodings.utf_8_sig encodings.utf_16
    encodings.utf_16_le
    encodings.utf_16_be encodings.utf_32 encodings.unicode_escape encodings.raw_unicode_escape
"""):
    importlib.import_module(_late)


def _names(module: ModuleType, names: str) -> dict[str, Any]:
    return {name: getattr(module, name) for name in words(names) if hasattr(module, name)}


def _all_public(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if not name.startswith("_") and callable(value)}


def _hashes() -> dict[str, Any]:
    """The interpreter's own hash functions, not OpenSSL's: that library would be loaded into every guest."""
    found: dict[str, Any] = {}
    for module, names in (
        ("_md5", "md5"),
        ("_sha1", "sha1"),
        ("_sha256", "sha224 sha256"),  # 3.11; from 3.12 on _sha2 has all four
        ("_sha512", "sha384 sha512"),
        ("_sha2", "sha224 sha256 sha384 sha512"),
        ("_sha3", "sha3_224 sha3_256 sha3_384 sha3_512"),
        ("_blake2", "blake2b blake2s"),
    ):
        try:
            found.update(_names(importlib.import_module(module), names))
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


def dumps(obj: Any, **options: Any) -> str:
    """Return `json.dumps(...)`; what is said of a handle in it tells what to write."""
    try:
        return json.dumps(obj, **options)
    except TypeError:
        if composable_in(obj) is None:
            raise
    raise TypeError(
        "handles have no JSON before their outcome is there: put the handle itself into the inputs, "
        'write f"{h}" for its text, or json.dumps(h.result())'
    )


_NAMES: dict[ModuleType, str] = {
    abc: "ABC abstractmethod",
    base64: """
        b64encode b64decode standard_b64encode standard_b64decode urlsafe_b64encode urlsafe_b64decode b32encode
        b32decode b32hexencode b32hexdecode b16encode b16decode a85encode a85decode b85encode b85decode""",
    bisect: "bisect bisect_left bisect_right insort insort_left insort_right",
    decimal: """
        Decimal Context getcontext setcontext localcontext BasicContext DefaultContext ExtendedContext ROUND_CEILING
        ROUND_DOWN ROUND_FLOOR ROUND_HALF_DOWN ROUND_HALF_EVEN ROUND_HALF_UP ROUND_UP ROUND_05UP DecimalException
        Clamped InvalidOperation DivisionByZero Inexact Rounded Subnormal Overflow Underflow FloatOperation""",
    fractions: "Fraction",
    heapq: "heappush heappop heapify heapreplace heappushpop merge nlargest nsmallest",
    json: "loads JSONDecodeError JSONEncoder",
    pathlib: "PurePosixPath",
    re: """
        compile search match fullmatch split findall finditer sub subn escape purge error PatternError Pattern Match
        RegexFlag A ASCII I IGNORECASE M MULTILINE S DOTALL X VERBOSE U UNICODE NOFLAG""",
    statistics: """
        mean fmean geometric_mean harmonic_mean median median_low median_high median_grouped mode multimode quantiles
        pstdev pvariance stdev variance covariance correlation linear_regression NormalDist StatisticsError""",
    string: """
        ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits printable punctuation whitespace
        capwords""",
    textwrap: "dedent indent wrap fill shorten",
    unicodedata: """
        normalize is_normalized name lookup category bidirectional combining east_asian_width mirrored decomposition
        decimal digit numeric unidata_version""",
}
_LEFT_OUT = {"ByteString", "Buffer"}


def pure_modules() -> dict[str, Mapping[str, Any]]:
    """Return the names of each facade that is the same in every run."""
    named = {module.__name__: _names(module, names) for module, names in _NAMES.items()}
    return {
        **named,
        "json": {"dumps": dumps, **named["json"]},
        "collections.abc": {
            name: getattr(collections.abc, name) for name in collections.abc.__all__ if name not in _LEFT_OUT
        },
        "copy": {"copy": copy.copy, "deepcopy": _deepcopy, "Error": copy.Error},
        "hashlib": _hashes(),
        "itertools": _all_public(itertools),
        "math": {name: value for name, value in vars(math).items() if not name.startswith("_")},
    }


SAFE_OPERATORS: dict[str, Any] = {
    **_names(
        operator,
        """
        add sub mul truediv floordiv matmul neg pos invert inv abs and_ or_ xor not_ rshift truth lt le gt ge eq ne
        is_ is_not contains countOf indexOf index concat getitem setitem delitem itemgetter iadd isub imul iconcat""",
    ),
    "mod": percent,
    "pow": power,
    "lshift": shift,
}

SAFE_FUNCTIONS = _names(functools, "reduce partial lru_cache cache cached_property cmp_to_key")
SAFE_COLLECTIONS = _names(collections, "Counter OrderedDict defaultdict deque ChainMap UserDict UserList")
