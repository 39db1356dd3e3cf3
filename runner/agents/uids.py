"""Which uid a process of an agent runs under: one of its own where the host is root, else the host's.

A process with a uid of its own cannot read the host's home, signal or trace what is not its own, or use another
attempt's door. It must be able to reach what it runs on: where folders on the way to it are closed to others, it
keeps the host's uid, and the reason is told.

Not here: becoming that uid (warden, worker). Another host at work in the same user namespace may hold the same uid
where the range is small; key, folder name and descent still keep attempts apart then.
"""

from __future__ import annotations

import functools
import os
import pwd
import secrets
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from weakref import WeakValueDictionary

# No distribution hands these out; two hosts meet in half a billion by chance only.
LARGE = range(0x4000_0000, 0x6000_0000)
# For a user namespace, which seldom has more than 65,536: above its ordinary users, below `nobody`.
SMALL = range(20_000, 60_000)

# Bits of CapEff: chown, dac_override, fowner, kill, setgid, setuid. A container may have taken them from its root.
_NEEDED_CAPABILITIES = sum(1 << bit for bit in (0, 1, 3, 5, 6, 7))
_MOST_LINKS = 40


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Identity:
    """Under which uid, and gid of the same number, a process runs. A uid is in use for as long as this object lives."""

    uid: int | None
    """None: the host's own."""
    reason: str = ""
    """Why it is the host's, for people."""

    @property
    def effective_uid(self) -> int:
        return os.geteuid() if self.uid is None else self.uid


_IN_USE: WeakValueDictionary[int, Identity] = WeakValueDictionary()


def identify(*, same_uid: bool, closed: str) -> Identity:
    """Return under which uid the next process of an agent runs.

    `same_uid`: the policy asks for the host's. `closed`: what `closed_to_others` says of all that it runs on.
    """
    if same_uid:
        return Identity(None, "its policy says unsafe_same_uid")
    room = _room(os.geteuid())
    if isinstance(room, str):
        return Identity(None, room)
    if closed:
        return Identity(None, closed)
    return _pick(room)


def closed_to_others(paths: Iterable[str]) -> str:
    """Return what keeps users that own none of it from reading these files and folders; "" where nothing does.

    By the modes of all that lies on the way, symbolic links followed; what is not there is left out. What its owner
    may execute, others must be able to as well. ACLs are not looked at.
    """
    seen: set[str] = set()
    for path in paths:
        for step, is_end in _steps(path, seen):
            try:
                mode = os.stat(step).st_mode
            except OSError:
                break
            needed = stat.S_IROTH if is_end else 0
            if stat.S_ISDIR(mode) or mode & stat.S_IXUSR:
                needed |= stat.S_IXOTH
            if mode & needed != needed:
                return f'"{step}" is closed to other users (mode {stat.S_IMODE(mode):04o})'
    return ""


def program_needs(argv: list[str], path: str) -> list[str]:
    """Return what the start of a command needs to reach: its program as `path` (PATH) finds it, what interprets that
    where it is a script, and every argument that is a path.
    """
    found = shutil.which(argv[0], path=path)
    if found is None:
        return []
    return [found, *_interpreters(found, path), *(argument for argument in argv[1:] if argument.startswith("/"))]


def _interpreters(program: str, path: str) -> list[str]:
    """Return the programs that the first line of a script names: `#!/usr/bin/env python3` names two."""
    with suppress(OSError), open(program, "rb") as file:
        first = file.readline(512)
        if first.startswith(b"#!"):
            words = first[2:].decode("utf-8", "surrogateescape").split()
            if words and os.path.basename(words[0]) == "env":
                words = [words[0], *(word for word in words[1:] if not word.startswith("-") and "=" not in word)]
            return [found for word in words[:2] if (found := shutil.which(word, path=path)) is not None]
    return []


def _steps(path: str, seen: set[str]) -> Iterator[tuple[str, bool]]:
    """Yield what lies on the way to a path, from the root on: the step, and whether it is the path itself."""
    ends = [os.path.abspath(path), os.path.realpath(path)]
    asked = set(ends)
    for end in ends:
        way = [end]
        while way[-1] != os.path.dirname(way[-1]):
            way.append(os.path.dirname(way[-1]))
        for step in reversed(way):
            if step in seen and step not in asked:
                continue
            seen.add(step)
            if os.path.islink(step) and len(ends) < _MOST_LINKS:
                ends.append(os.path.abspath(os.path.join(os.path.dirname(step), os.readlink(step))))
            yield step, step in asked


@functools.cache
def _room(euid: int) -> range | str:
    """Return which uids this process may give away, or why none."""
    if euid != 0:
        return "the host is not root"
    if not sys.platform.startswith("linux"):
        return "this system is not Linux"
    try:
        with open("/proc/self/status") as file:
            (capabilities,) = (int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
        maps = [_mapped(name) for name in ("uid_map", "gid_map")]
    except (OSError, ValueError):
        return "/proc does not tell which uids there are"
    if capabilities & _NEEDED_CAPABILITIES != _NEEDED_CAPABILITIES:
        return "the host's root lacks capabilities: chown, dac_override, fowner, kill, setgid and setuid are needed"
    for room in (LARGE, SMALL):
        if all(any(room[0] in mapped and room[-1] in mapped for mapped in found) for found in maps):
            return room
    return "the host's user namespace has no uids to spare"


def _mapped(name: str) -> list[range]:
    """Return the ids that this user namespace has (user_namespaces(7))."""
    with open(f"/proc/self/{name}") as file:
        rows = [[int(word) for word in line.split()] for line in file]
    return [range(first, first + count) for first, _, count in rows]


def _pick(room: range) -> Identity:
    start = secrets.randbelow(len(room))
    for n in range(len(room)):
        uid = room[(start + n) % len(room)]
        if uid not in _IN_USE and not (room is SMALL and _has_name(uid)):
            _IN_USE[uid] = found = Identity(uid)
            return found
    return Identity(None, "every uid is in use")


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
