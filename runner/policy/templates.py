"""What a policy says of a request, to be filled in with a spawn's inputs: a URL's path, its query, a JSON value.

`{inputs.name}` stands for that input, `{inputs}` for all of them. In a path it is a whole segment, by the grammar and
the refusals of `policy.paths`: an input can leave neither its segment nor the host. In a query or a JSON value it is a
whole text, replaced by the value itself; a key whose input is not there is left out. Nothing is put together from
parts of texts.

Not here: who sends it (agents), which requests a scope opens (paths).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from runner.models import Json
from runner.policy.paths import ONE, REST, BadPath, RequestPath, Rule, parse_rule

_NAMED = re.compile(r"\{inputs((?:\.[A-Za-z_][A-Za-z0-9_-]*){0,8})\}")
_MOST_QUERY_CHARS = 8192
"""What servers take for a whole request line."""
_MISSING = object()


class BadInput(ValueError):
    """The inputs of a spawn do not fit into a request. `str` names the input and what it is, not its value."""


@dataclass(frozen=True, slots=True)
class UrlTemplate:
    """A URL in whose path inputs may stand."""

    text: str
    rule: Rule | None
    """Its path, as a rule that opens nothing else; None where no input stands in it, and it is sent as written."""

    def fill(self, inputs: Json) -> str:
        """Return the URL for these inputs, encoded in one way only. Raises BadInput."""
        if self.rule is None:
            return self.text
        try:
            bound = self.rule.bind(inputs)
        except BadPath as error:
            raise BadInput(str(error)) from None
        parts = urlsplit(self.text)
        path = RequestPath(bound.segments, bound.slash)
        return f"{parts.scheme}://{parts.netloc}{path}" + (f"?{parts.query}" if parts.query else "")


def parse_url(text: str) -> UrlTemplate:
    """Return the template that a URL is. Raises ValueError that says what is allowed; after a line feed the fix."""
    parts = urlsplit(text)
    if not set("{}") & set(text):
        return UrlTemplate(text, None)
    if set("{}") & set(parts.netloc + parts.scheme):
        raise ValueError('a URL with inputs in its path alone, such as "https://crm.example/customers/{inputs.id}"')
    if set("{}") & set(parts.query):
        raise ValueError('a URL with inputs in its path alone\nwrite `query: {name: "{inputs.name}"}`')
    try:
        rule = parse_rule(f"GET {parts.path}")
    except ValueError as error:
        told = str(error).partition("; ")[2] or "its path is none"
        raise ValueError(f"a URL in which an input is a whole segment of the path; {told}") from None
    if REST in rule.segments or ONE in rule.segments:
        raise ValueError("a URL with inputs in its path, which has no wildcards")
    return UrlTemplate(text, rule)


def check(template: Json) -> Json:
    """Return a JSON template as it is. Raises ValueError: an input stands in the middle of a text."""
    for text in _texts(template):
        if "{inputs" in text and _NAMED.fullmatch(text) is None:
            raise ValueError('texts, and "{inputs.name}" as a whole text\nhave the service put texts together')
    return template


def fill(template: Json, inputs: Json) -> Json:
    """Return a JSON value with each text `{inputs.name}` replaced by that input.

    A key or an item whose input is not there is left out; as the whole it is null.
    """
    found = _filled(template, inputs)
    return None if found is _MISSING else found


def _filled(template: Json, inputs: Json) -> Json:
    if isinstance(template, dict):
        filled = {key: _filled(part, inputs) for key, part in template.items()}
        return {key: part for key, part in filled.items() if part is not _MISSING}
    if isinstance(template, list):
        return [part for part in (_filled(one, inputs) for one in template) if part is not _MISSING]
    named = _NAMED.fullmatch(template) if isinstance(template, str) else None
    if named is None:
        return template
    found: object = inputs
    for name in filter(None, named[1].split(".")):
        found = found.get(name, _MISSING) if isinstance(found, dict) else _MISSING
    return found


def query_of(template: Mapping[str, Json], inputs: Json) -> str:
    """Return a query, encoded: texts, numbers, true and false; a list repeats its key, null leaves it out.

    Raises BadInput.
    """
    filled = fill(dict(template), inputs)
    pairs = [(name, text) for name, value in filled.items() for text in _query_texts(name, value)]
    query = urlencode(pairs)
    if len(query) > _MOST_QUERY_CHARS:
        raise BadInput(f"the query is longer than {_MOST_QUERY_CHARS} characters")
    return query


def _query_texts(name: str, value: Json) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, bool):
            yield "true" if one else "false"
        elif isinstance(one, (str, int, float)):
            try:
                yield str(one).encode().decode()
            except UnicodeEncodeError:
                raise BadInput(f'"{name}" of the query is no text') from None
        elif one is not None:
            raise BadInput(f'"{name}" of the query would be a {"mapping" if isinstance(one, dict) else "list"}')


def _texts(template: Json) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, (dict, list)):
        for part in template.values() if isinstance(template, dict) else template:
            yield from _texts(part)
