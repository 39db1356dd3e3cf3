"""Ordinary work for a guest with what it must result in, and ways to run out with the limit that ends them.

Whatever CPython asks of the kernel in these, the lock must let through, under every minor version.
"""

from __future__ import annotations

from hashlib import sha256

WORKLOADS = {
    "allocation": (
        """
x = [bytes(100_000) for _ in range(300)]
y = [[i] for i in range(200_000)]
result = len(x) + len(y)
""",
        200_300,
    ),
    "a sort": (
        """
x = [(i * 7919) % 100_003 for i in range(100_000)]
x.sort(key=lambda v: -v)
result = x[0]
""",
        100_002,
    ),
    "exceptions": (
        """
n = 0
for i in range(5000):
    try:
        raise ValueError(i)
    except ValueError:
        n += 1
result = n
""",
        5000,
    ),
    "deep calls": ("def f(n):\n    return 0 if n == 0 else 1 + f(n - 1)\nresult = f(800)", 800),
    "json": ("import json\nresult = len(json.loads(json.dumps([{'a': i} for i in range(20000)])))", 20_000),
    "decimals": ("from decimal import Decimal\nresult = str(Decimal(2).sqrt())[:8]", "1.414213"),
    "statistics": ("import statistics\nresult = statistics.stdev([1, 2, 3])", 1.0),
    "regular expressions": ("import re\nresult = re.sub(r'(\\w)-(\\d)', r'\\2', 'a-1 b-2' * 1000)[:3]", "1 2"),
    "dates": (
        """
from datetime import datetime
result = datetime.strptime('2024-03-01', '%Y-%m-%d').strftime('%A %d %B')
""",
        "Friday 01 March",
    ),
    "dataclasses": (
        """
from dataclasses import dataclass, asdict
@dataclass
class A:
    x: int = 1
result = asdict(A())
""",
        {"x": 1},
    ),
    "digests": ("import hashlib\nresult = hashlib.sha256(b'x' * 10**6).hexdigest()", sha256(b"x" * 10**6).hexdigest()),
    "codecs": ("result = 'ä'.encode('utf-16').hex() + 'ä'.encode('idna').hex()", "fffee400786e2d2d346361"),
    "big numbers": ("x = 3 ** 100000\nresult = (x * x) // (x - 1) % 97", (3**200000 // (3**100000 - 1)) % 97),
    "garbage": ("class A:\n    pass\nfor i in range(50000):\n    a = A()\n    a.a = a\nresult = 1", 1),
    "a big frame": ("result = len(spawn('echo', 'x' * 4_000_000).result()['said'])", 4_000_000),
    "randomness": ("import random, uuid\nresult = random.random() != random.random()", True),
    "a deep structure, freed": ("x = None\nfor i in range(300_000):\n    x = (x,)\nx = None\nresult = 1", 1),
}

ENDINGS = {
    "memory, in big pieces": ("x = []\nwhile True: x.append('x' * 1_000_000)", "memory"),
    "memory, in small pieces": ("x = []\nwhile True: x.append({1: 2})", "memory"),
    "memory, caught": (
        """
x = []
while True:
    try:
        x.append(list(range(1000)))
    except Exception:
        pass
""",
        "memory",
    ),
    "recursion": ("def f(): return f()\nf()", "recursion"),
    "recursion through sort": ("def f(x): return sorted([1, 2], key=f)\nf(1)", "recursion"),
    "recursion through repr": ("class A:\n    def __repr__(self): return repr([self])\nrepr(A())", "recursion"),
    "recursion through a list": ("x = []\nfor i in range(100000): x = [x]\nprint(repr(x))", "recursion"),
    "recursion in json": ("import json\njson.loads('[' * 100000)", "recursion"),
    "recursion in an error's text": (
        """
class E(Exception):
    def __str__(self):
        return str(self)
raise E()
""",
        "recursion",
    ),
}
