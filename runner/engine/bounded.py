"""What of a run is put into a model's context: the envelope with its texts cleaned and cut, lists and result bounded.

One piece for every door that answers a model. A result is data, and stands as it is or not at all.

Not here: the envelope itself (envelope), which fields a door hands on, and what it says beside them (mcp_server.forms,
integrations.envelope).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from runner.engine import envelope
from runner.guest.wire import compact
from runner.models import Finding, Json
from runner.printable import clean_block

MAX_TEXT = 2_000
# Of a line of the script: a remark shows where it is, not the whole of it.
MAX_SOURCE = 200
MAX_TRACE = 20


def of_envelope(whole: dict[str, Json], *, most_findings: int) -> dict[str, Json]:
    """Return an envelope with its script, error and findings as they may be handed on; its result as it is."""
    kept = dict(whole)
    error, found = kept["error"], kept["findings"]
    kept["script"] = _cleaned(kept["script"])
    if isinstance(error, dict):
        trace = error["trace"]
        # The end of it is where it happened.
        kept["error"] = _cleaned({**error, "trace": trace[-MAX_TRACE:] if isinstance(trace, list) else []})
    kept["findings"] = [_finding(one) for one in found[:most_findings]] if isinstance(found, list) else []
    return kept


def findings(found: Iterable[Finding], *, most: int) -> list[Json]:
    """Return the first of the check's remarks."""
    return [_finding(envelope.finding_object(one)) for one in islice(found, most)]


def result(value: Json, most_bytes: int) -> tuple[Json, int]:
    """Return a result and 0, or None and its bytes as JSON where it has more than this."""
    size = len(compact(value).encode("utf-8", "surrogatepass"))
    return (value, 0) if size <= most_bytes else (None, size)


def text(written: str, limit: int = MAX_TEXT) -> str:
    """Return prose of a script, an agent or a check without what a terminal acts on, cut at so many characters."""
    kept = clean_block(written[: limit * 4])
    return kept if len(kept) <= limit and len(written) <= limit * 4 else f"{kept[: limit - 1]}…"


def _finding(found: Json) -> Json:
    kept = _cleaned(found)
    return {**kept, "text": text(str(kept["text"]), MAX_SOURCE)} if isinstance(kept, dict) else kept


def _cleaned(value: Json) -> Json:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return [_cleaned(part) for part in value]
    return {name: _cleaned(part) for name, part in value.items()} if isinstance(value, dict) else value
