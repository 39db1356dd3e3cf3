"""JSON Schemas of agents: whole, local, valid, and for inputs closed against unknown keys.

Draft 2020-12 only. References into other files are resolved inline, once, when the policy is loaded; references to the
network are refused. `validator` is the one way in which schemas are compiled, for the check and for the broker alike.

Not here: what the broker drops of an output (broker), which file the policy stands in (load).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import jsonschema_rs

from runner.guest.wire import MAX_DEPTH, canonical
from runner.models import Json
from runner.policy.closing import close

DRAFT = "https://json-schema.org/draft/2020-12/schema"
# The largest schema of a public agent catalogue that we looked at has 38 KB.
MAX_SCHEMA_BYTES = 256 * 1024
MAX_FILES = 32

ReadFile = Callable[[str, str], tuple[str, Json]]
"""(path as written, file it is written in; "" for the policy) → (the file's name, its value). Raises PolicyError."""


_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_REFERENCES = ("$ref", "$dynamicRef")
# Mappings whose keys are names, and keywords whose values are data: nothing in them is a reference.
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_DATA = ("const", "enum", "default", "examples")


class SchemaRefused(ValueError):
    """A schema cannot be used. `path` leads to the part that is wrong; `hint` is the fix."""

    def __init__(self, message: str, *, path: tuple[str | int, ...] = (), hint: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.hint = hint


def validator(schema: Json, **options: Any) -> Any:
    """Return the compiled schema (jsonschema_rs.Draft202012Validator). Opens no connection and no file.

    Raises SchemaRefused for what is no schema of draft 2020-12.
    """
    try:
        return jsonschema_rs.Draft202012Validator(schema, offline=True, **options)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        path = tuple(getattr(error, "instance_path", ()))
        message = str(getattr(error, "message", error)).partition("\n")[0]
        if path[-1:] == ("type",):
            message = f"{canonical(error.instance)} is none of {', '.join(_TYPES)}"  # type: ignore[union-attr]
        at = f" at {'.'.join(map(str, path))}" if path else ""
        raise SchemaRefused(f"not a JSON Schema{at}: {message[:200]}", path=path) from None


def resolve_schema(written: Json, read_file: ReadFile, *, inputs: bool) -> Json:
    """Return a schema complete in itself. `written` is the schema, or the path of a file that holds it.

    For inputs, objects that name their properties refuse others (closing). Raises SchemaRefused, PolicyError.
    """
    bundle = _Bundle(read_file)
    if isinstance(written, str):
        schema = bundle.whole_file(written)
    else:
        _measure(written)
        schema = bundle.inline(written, "", base="#")
    schema = bundle.finished(schema)
    _measure(schema)
    validator(schema)
    if not inputs:
        return schema
    closed = close(schema)
    validator(closed)
    return closed


class _Bundle:
    """Collects the files that a schema refers to under its `$defs`, with their own references adapted."""

    def __init__(self, read_file: ReadFile) -> None:
        self._read_file = read_file
        self._files: dict[str, Json] = {}
        self._names: dict[str, str] = {}

    def whole_file(self, path: str) -> Json:
        """Return the schema of a file as the root."""
        if "#" in path:
            return self.inline({"$ref": path}, "", base="#")
        name, value = self._read_file(path, "")
        _measure(value)
        self._names[name] = "#"
        return self.inline(value, name, base="#")

    def inline(
        self, value: Json, file: str, *, base: str, path: tuple[str | int, ...] = (), named: bool = False
    ) -> Json:
        """Return the value, which stands in `file`, with each reference leading into the bundle.

        `base` is where the file's root stands in the bundle. In a `named` mapping the keys are names, not keywords.
        """
        if isinstance(value, list):
            return [self.inline(item, file, base=base, path=(*path, n)) for n, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if named:
            return {key: self.inline(item, file, base=base, path=(*path, key)) for key, item in value.items()}
        _refuse_bases(value, path)
        found = {}
        for key, item in value.items():
            if key in _REFERENCES and isinstance(item, str):
                found[key] = self._reference(item, file, base, (*path, key))
            elif key in _DATA:
                found[key] = item
            elif key not in ("$id", "$schema"):
                found[key] = self.inline(item, file, base=base, path=(*path, key), named=key in _NAMED)
        return found

    def _reference(self, ref: str, file: str, base: str, path: tuple[str | int, ...]) -> str:
        target, _, fragment = ref.partition("#")
        if "://" in target or target.startswith("//") or target.partition(":")[0] in ("urn", "data"):
            raise SchemaRefused(
                f'"{ref[:100]}" would be read from the network', path=path,
                hint="save it as a file beside the policy, and refer to the file",
            )  # fmt: skip
        if fragment and not fragment.startswith("/") and (target or base != "#"):
            hint = 'refer to it as "#/$defs/..."'
            raise SchemaRefused(f'"{ref[:100]}" names an anchor in a file', path=path, hint=hint)
        if not target:
            return f"{base}{fragment}" if fragment.startswith("/") or not fragment else f"#{fragment}"
        return f"{self._add(unquote(target), file)}{fragment}"

    def _add(self, path: str, file: str) -> str:
        """Return where a file's root stands in the bundle; read it when it is new."""
        name, value = self._read_file(path, file)
        if name not in self._names:
            if len(self._names) >= MAX_FILES:
                raise SchemaRefused(f"it refers to more than {MAX_FILES} files")
            _measure(value)
            key = f"file-{len(self._names)}"
            self._names[name] = f"#/$defs/{key}"
            self._files[key] = None
            self._files[key] = self.inline(value, name, base=f"#/$defs/{key}")
        return self._names[name]

    def finished(self, root: Json) -> Json:
        """Return the root with the collected files."""
        if not self._files:
            return root
        if not isinstance(root, dict) or not isinstance(root.get("$defs", {}), dict):
            raise SchemaRefused("its $defs is no mapping")
        return {**root, "$defs": {**root.get("$defs", {}), **self._files}}


def _refuse_bases(value: dict[str, Json], path: tuple[str | int, ...]) -> None:
    """Refuse what would give words or references another meaning than they have in the file."""
    draft = value.get("$schema", DRAFT)
    if not isinstance(draft, str) or draft.rstrip("#") != DRAFT:
        hint = f'write "$schema": "{DRAFT}", or leave it out'
        raise SchemaRefused(f'"{str(draft)[:100]}" is not a draft that is read', path=(*path, "$schema"), hint=hint)
    if "$id" in value and path:
        hint = 'remove it, and refer to the part as "#/$defs/..."'
        raise SchemaRefused('"$id" inside of a schema is not read', path=(*path, "$id"), hint=hint)


def _measure(value: Json) -> None:
    """Refuse a schema that is too deep or too large to be handed to anything recursive."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for found in level
            if isinstance(found, (dict, list))
            for item in (found.values() if isinstance(found, dict) else found)
        ]
        if not level:
            break
    else:
        raise SchemaRefused(f"more than {MAX_DEPTH} levels deep", hint='give inner parts names under "$defs"')
    try:
        size = len(canonical(value).encode())
    except ValueError:
        raise SchemaRefused("it holds what JSON cannot carry") from None
    if size > MAX_SCHEMA_BYTES:
        raise SchemaRefused(f"it has {size:,} bytes; at most {MAX_SCHEMA_BYTES:,} are read")
