"""From a path or a text to a `Policy`: find the file, read it with its includes, resolve.

An include adds agents, limits and rules; where two files say different things about one thing, that is an error,
never a precedence. Paths of includes and schema files are relative to the file in which they stand; what a run uses
(`python`, `command`, `file:`) resolves against the folder of the policy that was loaded.

Not here: what is allowed in a policy (fields, resolve).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from runner.errors import PolicyError
from runner.models import Json
from runner.policy.files import read_source
from runner.policy.lock import with_lock
from runner.policy.model import Policy
from runner.policy.problems import shown
from runner.policy.resolve import resolve
from runner.policy.source import Place, Source, read_yaml

FILE_NAME = "runner.yaml"
VARIABLE = "RUNNER_POLICY"
MAX_INCLUDES = 32

# Merged key by key; all other keys must be equal where two files have them.
_MERGED = ("agents", "limits", "resources", "issuers", "providers", "risk")


def load_policy(path: Path | str, *, locked: bool = True) -> Policy:
    """Return the policy of a file, complete. Nothing that it names is imported, started or opened.

    `locked`: with the lock that stands beside the file, if one does.

    Raises PolicyError with file, line and the fix; it lists every problem found. LockStale: the lock is of another.
    """
    file = Path(path)
    shown_name = _printable(str(path))
    source = read_source(file, shown=shown_name)
    folder = file.parent.absolute()
    policy = _loaded(source, folder=folder, name=_printable(file.stem), shown_name=shown_name, file=file)
    return with_lock(policy, file, shown=shown_name) if locked else policy


def load_policy_text(text: str, *, folder: Path, name: str) -> Policy:
    """Return the policy of a YAML text; `name` stands for the file in errors. Raises PolicyError."""
    source = read_yaml(text, file=name)
    return _loaded(source, folder=Path(folder).absolute(), name=name, shown_name=name, file=None)


def find_policy(script_path: Path | str | None) -> Path | None:
    """Return RUNNER_POLICY, else the first runner.yaml from the script's folder (None: the current one) upwards."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    start = (Path(script_path).parent if script_path is not None else Path()).absolute()
    for folder in (start, *start.parents):
        found = folder / FILE_NAME
        if found.is_file():
            return found
    return None


def _loaded(
    source: Source, *, folder: Path, name: str, shown_name: str, file: Path | None, inner: _Inner | None = None
) -> Policy:
    files = _Files(shown_name, folder, folder if file is None else file.parent.absolute())
    inner = inner or _Inner(folder, () if file is None else (os.path.realpath(file),))
    whole = files.with_includes(source, shown_name, (os.path.realpath(file),) if file is not None else ())
    policy = resolve(whole, folder=folder, name=name, read_file=files.read_schema, within=inner.within)
    if policy.scripts:
        # Most policies have none: what compares policies is not read for them.
        from runner.policy.nested import with_scripts

        policy = with_scripts(policy, whole.place, inner.load)
    return policy if file is None else replace(policy, file=_printable(str(file.absolute())))


@dataclass(slots=True)
class _Inner:
    """Loads the policies of script agents. What they use resolves against the folder of the outermost policy."""

    folder: Path
    above: tuple[str, ...]
    """The real paths of the policies that led here."""
    within: Policy | None = None
    loaded: list[str] = field(default_factory=list)
    """All that were loaded for the outermost one."""

    def load(self, file: Path, place: Place, within: Policy) -> Policy:
        from runner.policy.nested import MAX_DEPTH, MAX_NESTED

        real, shown_name = os.path.realpath(file), _printable(os.path.relpath(file, self.folder))
        wrong = ""
        if real in self.above:
            wrong, hint = f'"{shown_name}" is the policy of a script within itself', "break the circle"
        elif len(self.above) > MAX_DEPTH:
            wrong, hint = f"policies stand within policies more than {MAX_DEPTH} deep", "let an outer script do more"
        elif len(self.loaded) >= MAX_NESTED:
            wrong, hint = f"more than {MAX_NESTED} policies stand within this one", "let fewer agents be scripts"
        if wrong:
            raise PolicyError(wrong, file=place.file, line=place.line, hint=hint)
        self.loaded.append(real)
        source = read_source(file, shown=shown_name, asked_by=(place.file, place.line))
        return _loaded(
            source, folder=self.folder, name=_printable(file.stem), shown_name=shown_name, file=file,
            inner=_Inner(self.folder, (*self.above, real), within, self.loaded),
        )  # fmt: skip


class _Files:
    """The files that one policy consists of, and the folder of each."""

    def __init__(self, shown_name: str, root: Path, folder: Path) -> None:
        """`folder` is that of the file itself; errors name files as seen from `root`."""
        self._folders = {shown_name: folder}
        self._root = root
        self._schemas: dict[str, Json] = {}
        self._included = 0

    def with_includes(self, source: Source, name: str, above: tuple[str, ...]) -> Source:
        """Return a source with what it includes merged in. `above` are the real paths that led here."""
        if not isinstance(source.value, dict) or "include" not in source.value:
            return source
        merged = Source({k: v for k, v in source.value.items() if k != "include"}, source.places)
        for n, written in enumerate(_include_list(source)):
            place = source.place(("include", n))
            path = self._folders[name] / _text(written, place)
            real = os.path.realpath(path)
            if real in above:
                raise PolicyError(
                    f'"{written}" includes itself', file=place.file, line=place.line, hint="break the circle"
                )
            # Each reading counts, not each file: two lines in each of 32 files would lead to four billion.
            self._included += 1
            if self._included > MAX_INCLUDES:
                raise PolicyError(f"more than {MAX_INCLUDES} includes", file=place.file, line=place.line)
            shown_name = self._named(path)
            self._folders[shown_name] = path.parent
            included = read_source(path, shown=shown_name, asked_by=(place.file, place.line))
            merged = _merge(merged, self.with_includes(included, shown_name, (*above, real)))
        return merged

    def read_schema(self, path: str, file: str) -> tuple[str, Json]:
        """Return the name and value of a schema file, read once. `file` is where it is asked for."""
        full = Path(os.path.normpath(self._folders.get(file, self._root) / path))
        name = self._named(full)
        if name not in self._schemas:
            self._schemas[name] = read_source(full, shown=name, asked_by=(file, 0)).value
            self._folders[name] = full.parent
        return name, self._schemas[name]

    def _named(self, path: Path) -> str:
        """Return how a file is called in errors: as seen from the policy's folder."""
        return _printable(os.path.relpath(path, self._root))


def _include_list(source: Source) -> list[Json]:
    written = source.value["include"]
    if isinstance(written, str):
        return [written]
    if isinstance(written, list):
        return written
    place = source.place(("include",))
    raise PolicyError(
        f"include cannot be {shown(written)}; allowed: a list of paths", file=place.file, line=place.line,
        hint="write [other.yaml]",
    )  # fmt: skip


def _text(written: Json, place: Place) -> str:
    if isinstance(written, str) and written and "\0" not in written:
        return written
    raise PolicyError(
        f"include cannot be {shown(written)}; allowed: a path", file=place.file, line=place.line,
        hint="write [other.yaml]",
    )  # fmt: skip


def _merge(base: Source, other: Source) -> Source:
    """Return both together. Raises PolicyError where they disagree."""
    if not isinstance(other.value, dict):
        return base if other.value is None else other
    value, places = dict(base.value), dict(base.places)
    for key, found in other.value.items():
        if key == "description":
            continue
        if key in _MERGED and isinstance(found, dict) and isinstance(value.get(key, {}), dict):
            value[key] = dict(value.get(key, {}))
            for name, part in found.items():
                _add(value[key], name, part, (key, name), base, other)
        else:
            _add(value, key, found, (key,), base, other)
    for path, place in other.places.items():
        places.setdefault(path, place)
    return Source(value, places)


def _add(into: dict[str, Json], name: str, part: Json, path: tuple[str, ...], base: Source, other: Source) -> None:
    if name in into and into[name] != part:
        here, there = base.place(path), other.place(path)
        raise PolicyError(
            f'"{name}" is said differently in {there.file}:{there.line}', file=here.file, line=here.line,
            hint="say it in one of the files",
        )  # fmt: skip
    into[name] = part


def _printable(text: str) -> str:
    """Return a path fit for a message and for JSON: bytes that are no UTF-8 are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
