"""Answer a guest from its journal, and hold it to what it said then: the responder of a replay.

It has no agent and no issuer. What the guest says must agree with the record in order: spawns with their content and
options, thens and what they came to, cancels, waits, and the end. What it prints may differ, which is noted. Lines may
differ too: a script with another comment says the same.

Not here: reading the record (past), words (told), starting the guest (engine).
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from runner.events import Event, EventKind
from runner.events.said import (
    output_value,
    returned_body,
    returned_value,
    spawn_body,
    spawn_value,
    then_body,
    wait_body,
)
from runner.guest.wire import OK, Output, Settled, Then, Wait, canonical
from runner.models import Json, RunError, RunState, Spawn
from runner.replay import told
from runner.replay.divergence import Diverged, Divergence
from runner.replay.legible import legible
from runner.replay.past import Erased, Past
from runner.replay.record import same_result
from runner.seams import Reply

LED = 8
"""How many of the last things that agreed are told with a divergence."""
MOST_NOTES = 20
_SPAWN_KEYS = ("agent", "scopes", "timeout", "retry", "fallback")
_WAIT_KEYS = ("group", "handles", "need", "of", "until", "rest")


class Replayer:
    """`seams.Responder` for archived runs. One object, one replay."""

    def __init__(self, past: Past, *, ended: Callable[[], object], cause: Callable[[int], str]) -> None:
        """`ended` is called once the record knows nothing more that the guest said, where the host ended the run, or
        died. `cause` says of a line of the script what is likely behind a divergence there.
        """
        self._past = past
        self._ended = ended
        self._cause = cause
        self._led: deque[Event] = deque(maxlen=LED)
        self.reached_end = False
        """The record knows nothing more, and the host ended the run there, or died."""
        self.frames = 0
        self.spawns = 0
        self.notes: list[str] = []
        """What differs and does not matter to what follows: texts that were printed."""

    # --- what the guest says -----------------------------------------------------------------

    def begin(self) -> None:
        """Look whether there is anything to replay. Call before the script is sent."""
        self._look()

    def spawned(self, spawn: Spawn) -> Event:
        """Return the event of the record that this is. Raises Diverged."""
        self.spawns += 1
        body, value = spawn_body(spawn), spawn_value(spawn, canonical(spawn.inputs))
        event = self._expected(EventKind.SPAWN_REQUESTED, "spawn", spawn.n, spawn.line, body, value)
        same = _same(event.body, body, _SPAWN_KEYS)
        if event.value != value or not same:
            if same:
                self._need(event, f"what spawn {spawn.n} was asked with")
            with legible(event):
                shown = value if event.value is not None else None
                found = told.difference_lines(told.spawn_json(event.body, event.value), told.spawn_json(body, shown))
            self._diverge("spawn", spawn.n, spawn.line, event, told.spawn_text(body, value), found)
        return self._taken()

    def derived(self, then: Then) -> Event:
        body = then_body(then)
        event = self._expected(EventKind.THEN_REQUESTED, "then", then.n, then.line, body, None)
        if not _same(event.body, body, ("handle", "of")):
            found = told.difference_lines({"of": event.body["of"]}, {"of": list(then.of)})
            self._diverge("then", then.n, then.line, event, told.then_text(body), found)
        return self._taken()

    def settled(self, settled: Settled) -> Event:
        body = returned_body(settled)
        good = settled.kind == OK
        value = returned_value(settled, canonical(settled.value)) if good else canonical({"message": settled.message})
        event = self._expected(EventKind.THEN_RETURNED, "settled", settled.n, 0, body, value)
        self._need(event, f"what then {settled.n} came to")
        with legible(event) as recorded:
            expected, got = told.value_json(recorded), told.value_json(value)
        # Told of its failure are the handle that is behind it and how often that was tried: what follows from it.
        expected.pop("cause", None)
        same = _same(event.body, body, ("handle", "outcome")) and expected == got
        # Those with other fills may look alike in words.
        if not same or (good and value != recorded):
            found = told.difference_lines(
                {"outcome": event.body["outcome"], **expected}, {"outcome": body["outcome"], **got}
            )
            self._diverge("settled", settled.n, 0, event, told.returned_text(body, value), found)
        return self._taken()

    def cancelled(self, handle: int) -> Event:
        event = self._expected(EventKind.SPAWN_CANCELLED, "cancel", handle, 0, {"spawn": handle}, None)
        if event.body["spawn"] != handle:
            self._diverge("cancel", handle, 0, event, told.cancel_text(handle))
        return self._taken()

    def printed(self, output: Output) -> Event | None:
        """Compare what is printed with the record's; a difference is a note. None: the record has no text here."""
        self.frames += 1
        event = self._past.next
        if event is None or event.kind is not EventKind.OUTPUT_WRITTEN:
            self._note(f"line {output.line}: a text was printed that the record does not have")
            return None
        if event.value is not None and event.value != output_value(output):
            with legible(event):
                printed = {"text": output.text, "fields": output.fields}
                found = told.difference_lines(event.content(), printed, limit=3)
            self._note(f"line {output.line}: printed otherwise: {'; '.join(found)}")
        return self._taken()

    @property
    def busy(self) -> bool:
        return False

    async def idle(self) -> None:
        pass

    async def wait(self, wait: Wait) -> Reply:
        """Return the answer of the record; never, where the record ends before it. Raises Diverged."""
        self.waited(wait)
        reply = self.reply()
        if reply is None:
            self._look()
            await asyncio.Event().wait()  # Until the session is interrupted.
        assert reply is not None
        return reply

    def waited(self, wait: Wait) -> Event:
        """Return the event of the record that this wait is. Raises Diverged."""
        body = wait_body(wait)
        event = self._expected(EventKind.WAIT_OPENED, "wait", 0, wait.line, body, None)
        if not _same(event.body, body, _WAIT_KEYS):
            found = told.difference_lines(told.wait_json(event.body), told.wait_json(body))
            self._diverge("wait", 0, wait.line, event, told.wait_text(body), found)
        self._led.append(event)
        return self._past.take()

    def reply(self) -> Reply | None:
        """Return the answer to the wait that was just taken; None where the record ends before it. Raises Diverged."""
        answered = self._past.answer()
        if answered is None:
            return None
        # Read while they are sent: all outputs at once may be more than memory holds.
        reply = Reply(self._outcomes(answered), answered.body["ended"], answered.body["now"])
        self._led.append(answered)
        self._past.answered()
        self._look()
        return reply

    def _outcomes(self, answered: Event) -> Iterator[tuple[int, str, str]]:
        try:
            yield from self._past.outcomes(answered)
        except Erased as erased:
            self._erased(erased)

    async def finished(self) -> None:
        pass

    def end(self, state: RunState, result: Json, error: RunError | None) -> None:
        """Compare how the guest ended with the record. Raises Diverged."""
        line = error.line if error is not None else 0
        self.frames += 1
        self._skip_outputs()
        end, event = self._past.end, self._past.next
        got = told.end_text(state, result, error)
        if event is not None:
            self._diverge("finished", 0, line, event, got)
        if end is None:
            return
        if end.erased:
            self._erased(Erased("what the run ended with", end.seq))
        expected, found = told.end_json(end.state, end.result, end.error), told.end_json(state, result, error)
        same = same_result(end.result, result) if error is None else True
        if expected != found or not same:
            differs = told.difference_lines(expected, found) or ["result: its keys stand in another order"]
            self._diverge("finished", 0, line, None, got, differs)
        if end.error is not None and end.error.line != line:
            self._note(f"the script ended at line {line}, in the record at line {end.error.line}")

    # --- holding it to the record --------------------------------------------------------------

    def _expected(
        self, kind: EventKind, what: str, handle: int, line: int, body: Mapping[str, Any], value: str | None
    ) -> Event:
        """Return what the record has next if it is of this kind. Raises Diverged."""
        self.frames += 1
        self._skip_outputs()
        event = self._past.next
        if event is None or event.kind is not kind:
            got = {
                "spawn": lambda: told.spawn_text(body, value), "then": lambda: told.then_text(body),
                "settled": lambda: told.returned_text(body, value), "wait": lambda: told.wait_text(body),
            }.get(what, lambda: told.cancel_text(handle))()  # fmt: skip
            self._diverge(what, handle, line, event, got)
        return event

    def _skip_outputs(self) -> None:
        while (event := self._past.next) is not None and event.kind is EventKind.OUTPUT_WRITTEN:
            self._note(f"line {event.body['line']}: a text of the record was not printed")
            self._past.take()

    def _taken(self) -> Event:
        event = self._past.take()
        self._led.append(event)
        self._look()
        return event

    def _look(self) -> None:
        """The run is over where the host ended it: what the guest would say next nobody has heard."""
        end = self._past.end
        if self._past.over and (end is None or end.by == "host") and not self.reached_end:
            self.reached_end = True
            self._ended()

    def _need(self, event: Event, what: str) -> None:
        """Raises Diverged: the value of an event that must be compared was erased."""
        if event.value is None and event.value_digest:
            self._erased(Erased(what, event.seq))

    def _erased(self, erased: Erased) -> NoReturn:
        told_next = f"{erased.what} was erased from the record (event {erased.seq})"
        raise Diverged(
            Divergence(
                "erased", self.frames, 0, 0, 0, erased.seq, "a value that the record held", told_next,
                led=self._led_texts(), cause="the record was redacted; what comes after it cannot be replayed",
            )
        )  # fmt: skip

    def _note(self, text: str) -> None:
        if len(self.notes) < MOST_NOTES:
            self.notes.append(text)

    def _diverge(
        self, what: str, handle: int, line: int, event: Event | None, got: str, found: list[str] | None = None
    ) -> NoReturn:
        end = self._past.end
        if event is not None:
            with legible(event):
                expected = told.event_text(event)
        elif end is not None:
            expected = told.end_text(end.state, end.result, end.error)
        else:
            expected = "nothing more: the record ends here"
        recorded_line = event.body.get("line", 0) if event is not None else end.error.line if end and end.error else 0
        seq = event.seq if event is not None else end.seq if end is not None else 0
        raise Diverged(
            Divergence(
                what, self.frames, handle, line, recorded_line, seq, expected, got, tuple(found or ()),
                self._led_texts(), self._cause(line),
            )
        )  # fmt: skip

    def _led_texts(self) -> tuple[str, ...]:
        return tuple(map(told.event_text, self._led))


def _same(recorded: Mapping[str, Any], said: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    """Say whether two bodies agree in these keys; one of them was JSON, where a tuple is a list."""
    return all(recorded.get(key) == said[key] or _plain(said[key]) == recorded.get(key) for key in keys)


def _plain(value: Any) -> Json:
    return json.loads(canonical(value))
