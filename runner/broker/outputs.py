"""The outputs of a run's handles, for answers and for whatever depends on them, now or later.

Any spawn may name any handle that was told before it, so every output stays reachable; but only KEPT_BYTES of them
stay in memory. The others are read back from the journal, which has them all.

Not here: which part of an output is meant (guest.filling), who needs it (dataflow).
"""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence

from runner.broker.handle import LiveHandle, quote
from runner.guest.wire import Json
from runner.models import MIB, OutcomeKind
from runner.seams import RunJournal

KEPT_BYTES = 64 * MIB
"""Of outputs as JSON text."""
KEPT_PARSED_CHARS = 4 * MIB
"""Of outputs as Python values, which take up to twenty times the memory of their text."""


class OutputGone(Exception):
    """An output was erased from the journal while its run went on."""


class Outputs:
    """The outputs of one run. Texts are compact JSON, keys in the order of the agent."""

    def __init__(self, journal: RunJournal, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._journal = journal
        self._most = kept_bytes
        self._texts: OrderedDict[int, str] = OrderedDict()
        self._bytes = 0
        self._parsed: OrderedDict[int, tuple[int, Json]] = OrderedDict()
        self._parsed_chars = 0

    def keep(self, live: LiveHandle, text: str) -> None:
        """Take the output of a handle whose event was appended: `seq` and `output_at` say where it stands."""
        self._texts[live.n] = text
        self._bytes += sys.getsizeof(text)
        while self._bytes > self._most:
            _, gone = self._texts.popitem(last=False)
            self._bytes -= sys.getsizeof(gone)

    def text(self, live: LiveHandle) -> str:
        """Return the output of a handle that succeeded. Raises OutputGone, StoreError."""
        kept = self._texts.get(live.n)
        if kept is not None:
            return kept
        value = self._journal.value(live.seq)
        if value is None:
            raise OutputGone(f"the output of {live.named} was erased from the journal")
        return value[live.output_at : -1]

    def told(self, live: LiveHandle) -> str:
        """Return the value in which the guest told what a handle is made of. Raises OutputGone, StoreError."""
        assert live.needs is not None
        value = live.needs.told or self._journal.value(live.needs.seq)
        if value is None:
            raise OutputGone(f"what the script told of {live.named} was erased from the journal")
        return value

    def value(self, live: LiveHandle) -> Json:
        """Return it parsed: nobody may change it, it is handed out again. Raises OutputGone, StoreError."""
        found = self._parsed.get(live.n)
        if found is not None:
            self._parsed.move_to_end(live.n)
            return found[1]
        text = self.text(live)
        value = json.loads(text)
        self._parsed[live.n] = len(text), value
        self._parsed_chars += len(text)
        # The last one stays in any case: the next part is mostly of the same output.
        while self._parsed_chars > KEPT_PARSED_CHARS and len(self._parsed) > 1:
            _, (chars, _) = self._parsed.popitem(last=False)
            self._parsed_chars -= chars
        return value


class Outcomes:
    """What an answer tells. The outputs are read when it is sent: all of them at once may be more than memory holds."""

    def __init__(self, delivered: Sequence[LiveHandle], outputs: Outputs) -> None:
        self._delivered = delivered
        self._outputs = outputs

    def __iter__(self) -> Iterator[tuple[int, str, str]]:
        for live in self._delivered:
            yield self._outcome(live)

    def _outcome(self, live: LiveHandle) -> tuple[int, str, str]:
        if not live.succeeded:
            return live.n, live.kind, live.failure_text()
        try:
            return live.n, live.kind, self._outputs.text(live)
        except OutputGone as gone:
            return live.n, str(OutcomeKind.FAILED), f'{{"attempts":{live.attempts},"message":{quote(str(gone))}}}'
