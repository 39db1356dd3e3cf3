"""What takes too much inside one call ends at a limit that is named, or as an error of Python that says what is too big."""

from __future__ import annotations

import pytest

from tests.runs import agent, policy_of, run_script

POLICY = policy_of(limits={"cpu": "0.4s", "memory": "96MB"}, agents={"echo": agent("echo")})

CPU = "more than 0.4 s of CPU time"
MEMORY = "more than 96 MiB of memory"

# What a script does, how it ends, and what it is told.
ENDS = {
    "a regular expression that tries everything": ("import re\nre.match(r'(a+)+$', 'a' * 40 + 'b')", "cpu", CPU),
    "a substitution that tries everything": ("import re\nre.sub(r'(x*)*y', '', 'x' * 200_000)", "cpu", CPU),
    "products that grow": ("x = 3\nwhile True: x = x * x", "cpu", CPU),
    "a factorial": ("import math\nx = math.factorial(10 ** 7)", "cpu", CPU),
    "permutations": ("import itertools\nx = sum(1 for _ in itertools.permutations(range(20)))", "cpu", CPU),
    "sorting over and over": ("xs = list(range(10 ** 5))\nwhile True: xs.sort(key=lambda q: -q)", "cpu", CPU),
    "a fraction to a power": ("from fractions import Fraction\nx = Fraction(3, 7) ** (10 ** 8)", "cpu", CPU),
    "a comparison of long texts": ("from difflib import SequenceMatcher\nx = SequenceMatcher(None, 'ab' * 9000, 'ba' * 9000, autojunk=False).ratio()", "cpu", CPU),
    "a difference of many lines": ("from difflib import ndiff\nx = list(ndiff([f'{n} a' for n in range(900)], [f'{n} b' for n in range(900)]))", "cpu", CPU),
    "the text of a nested list": ("x = []\nfor i in range(40): x = [x, x]\nprint(len(repr(x)))", "cpu", CPU),
    "sorting a big list": ("x = sorted(range(10 ** 8))", "memory", MEMORY),
    "a text that doubles": ("s = 'a'\nwhile True: s = s + s", "memory", MEMORY),
    "a repetition of two names": ("s = 'ab'; n = 10 ** 10\nx = s * n", "memory", MEMORY),
    "a repetition in place": ("s = [0]; s *= 10 ** 10", "memory", MEMORY),
    "a wide field": ("s = '%1000000000d' % 1", "memory", MEMORY),
    "a text made wide": ("s = 'a'.ljust(10 ** 10)", "memory", MEMORY),
    "a join": ("s = ','.join(['a' * 1000] * 10 ** 6)", "memory", MEMORY),
    "a replacement": ("s = ('a' * 10 ** 6).replace('a', 'b' * 10 ** 6)", "memory", MEMORY),
    "all combinations": ("import itertools\nx = list(itertools.combinations(range(10 ** 4), 3))", "memory", MEMORY),
    "a deque, whose error CPython loses": ("from collections import deque\nx = deque(range(10 ** 9))", "memory", MEMORY),
    "a deque, caught": ("from collections import deque\ntry: x = deque(range(10 ** 9))\nexcept Exception: x = 0\nresult = 1", "memory", MEMORY),
    "precise decimals": ("from decimal import Decimal, getcontext\ngetcontext().prec = 10 ** 9\nx = Decimal(1) / 3", "memory", MEMORY),
    "nesting without end": ("import json\nx = []\nfor i in range(10 ** 5): x = [x]\njson.dumps(x)", "recursion", "called itself too deeply"),
    "a power": ("n = 10 ** 9\nx = 7 ** n", "OverflowError", "the power would have about 3,000,000,000 bits; at most 8,388,608 are allowed"),
    "a shift": ("n = 10 ** 9\nx = 7 << n", "OverflowError", "shifting by 1,000,000,000 places is more than the 8,388,608 bits that are allowed"),
    "a repetition": ("n = 10 ** 10\nx = 'ab' * n", "OverflowError", "repeating gives 20,000,000,000 items; at most 67,108,864 are allowed"),
    "a format width": ("n = 10 ** 10\nx = f'{1:>{n}}'", "ValueError", 'format ">10000000000" asks for more than 1,000,000 characters'),
    "digits of a number": ("x = str(10 ** 100_000)", "ValueError", "Exceeds the limit (4300 digits) for integer string conversion"),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
async def test_what_takes_too_much_ends_at_a_limit_that_is_named(tmp_path, name):
    source, kind, message = ENDS[name]
    ran = await run_script(tmp_path, source, policy=POLICY)

    assert ran.result.error is not None, ran.result
    assert ran.result.error.kind == kind
    assert message in ran.result.error.message
