"""Facades over time, chance and identity, which must follow from what the journal holds.

The clock is that of the last Answer and stands still between waits; it runs in UTC. Each kind of randomness draws from
a stream of its own, so that a further `uuid4()` does not change what `random()` yields.
"""

from __future__ import annotations

import calendar
import datetime
import hashlib
import random
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from runner.guest.dialect.names import words

Clock = Callable[[], float]
Randomness = Callable[[str], random.Random]


def time_module(clock: Clock, sleep: Callable[[float], Any] | None) -> dict[str, Any]:
    """Return the names of `time`. Without a `sleep` of the API, sleeping returns at once: the clock stands still."""

    def gmtime(secs: float | None = None) -> time.struct_time:
        return time.gmtime(clock() if secs is None else secs)

    def strftime(format: str, t: Any = None) -> str:
        return time.strftime(format, gmtime() if t is None else t)

    def strptime(string: str, format: str = "%a %b %d %H:%M:%S %Y") -> time.struct_time:
        return time.strptime(string, format)

    def read() -> float:
        return clock()

    def read_ns() -> int:
        return int(clock() * 1_000_000_000)

    def do_sleep(secs: float) -> None:
        if sleep is not None:
            sleep(secs)

    def ctime(secs: float | None = None) -> str:
        return time.asctime(gmtime(secs))

    def asctime(t: Any = None) -> str:
        return time.asctime(gmtime() if t is None else t)

    return {
        "time": read,
        "monotonic": read,
        "perf_counter": read,
        "process_time": read,
        "time_ns": read_ns,
        "monotonic_ns": read_ns,
        "perf_counter_ns": read_ns,
        "sleep": do_sleep,
        "gmtime": gmtime,
        "localtime": gmtime,
        "mktime": lambda t: float(calendar.timegm(t)),
        "strftime": strftime,
        "strptime": strptime,
        "ctime": ctime,
        "asctime": asctime,
        "struct_time": time.struct_time,
        "timezone": 0,
    }


DATETIME: Mapping[str, Any] = {
    "datetime": datetime.datetime,
    "date": datetime.date,
    "time": datetime.time,
    "timedelta": datetime.timedelta,
    "timezone": datetime.timezone,
    "tzinfo": datetime.tzinfo,
    "UTC": datetime.timezone.utc,  # noqa: UP017
    "MINYEAR": datetime.MINYEAR,
    "MAXYEAR": datetime.MAXYEAR,
}


def dates_by_clock(clock: Clock) -> dict[tuple[type, str], Callable[..., Any]]:
    """Return what the classes of `datetime` answer where CPython's would read the clock, the zone or a module."""
    utc = datetime.timezone.utc  # noqa: UP017
    moment, day = datetime.datetime, datetime.date

    def now(tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return fromtimestamp(clock(), tz)

    def utcnow() -> datetime.datetime:
        return fromtimestamp(clock())

    def fromtimestamp(timestamp: float, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        found = moment.fromtimestamp(timestamp, utc)
        return found.replace(tzinfo=None) if tz is None else found.astimezone(tz)

    def strptime(date_string: str, format: str) -> datetime.datetime:
        # From here the import inside meets Python's own builtins, not the script's.
        return moment.strptime(date_string, format)

    def today() -> datetime.date:
        return utcnow().date()

    def date_fromtimestamp(timestamp: float) -> datetime.date:
        return fromtimestamp(timestamp).date()

    return {
        (moment, "now"): now,
        (moment, "utcnow"): utcnow,
        (moment, "today"): utcnow,
        (moment, "fromtimestamp"): fromtimestamp,
        (moment, "strptime"): strptime,
        (day, "today"): today,
        (day, "fromtimestamp"): date_fromtimestamp,
    }


_DRAWS = words("""
    random uniform triangular randint randrange choice choices shuffle sample gauss normalvariate lognormvariate
    expovariate betavariate gammavariate paretovariate weibullvariate vonmisesvariate getrandbits randbytes
    binomialvariate getstate setstate
""")


def random_module(randomness: Randomness) -> tuple[dict[str, Any], type]:
    """Return the names of `random` and its class, whose unseeded instances draw their seed from the journalled one."""
    seeds, again = randomness("Random"), randomness("seed")

    class Random(random.Random):
        def __init__(self, x: Any = None) -> None:
            super().__init__(seeds.getrandbits(64) if x is None else x)

        def seed(self, a: Any = None, version: int = 2) -> None:
            super().seed(again.getrandbits(64) if a is None else a, version)

    Random.__module__ = "random"
    stream = randomness("random")

    def seed(a: Any = None, version: int = 2) -> None:
        stream.seed(again.getrandbits(64) if a is None else a, version)

    draws = {name: getattr(stream, name) for name in _DRAWS if hasattr(stream, name)}
    return {**draws, "seed": seed, "Random": Random}, Random


def uuid_module(randomness: Randomness) -> dict[str, Any]:
    """Return the names of `uuid`; `uuid1` would tell the machine and the time, so it is left out."""
    stream = randomness("uuid")

    def uuid4() -> uuid.UUID:
        return uuid.UUID(int=stream.getrandbits(128), version=4)

    def uuid3(namespace: uuid.UUID, name: str) -> uuid.UUID:
        return uuid.UUID(bytes=hashlib.md5(namespace.bytes + name.encode()).digest()[:16], version=3)

    def uuid5(namespace: uuid.UUID, name: str) -> uuid.UUID:
        return uuid.UUID(bytes=hashlib.sha1(namespace.bytes + name.encode()).digest()[:16], version=5)

    spaces = {name: getattr(uuid, name) for name in words("NAMESPACE_DNS NAMESPACE_URL NAMESPACE_OID NAMESPACE_X500")}
    return {"UUID": uuid.UUID, "uuid4": uuid4, "uuid3": uuid3, "uuid5": uuid5, **spaces}
