"""A guest is held to its record, message by message: what agrees, where it leaves it, and how that is told."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent

import pytest

from runner.errors import ExitCode
from runner.events import Event
from runner.guest.wire import (
    Cancel,
    Fill,
    Finished,
    NextAgent,
    Output,
    Part,
    RetryRule,
    ScriptError,
    Settled,
    Spawn,
    Text,
    Then,
    Wait,
)
from runner.replay import Diverged, Divergence
from runner.replay.divergence import lines
from tests.unit.replays_by_hand import (
    START,
    Hand,
    answer,
    bad,
    done,
    erased,
    failed,
    ok,
    record,
    replayed,
    stopped,
    then_ok,
)

TEA = Spawn(1, "research", {"topic": "tea", "depth": 2}, ("crm:read",), 60.0, "first", 3)
COFFEE = Spawn(
    2, "research", {"topic": "coffee"}, None, None, None, 4, retry=RetryRule(2, 1.0, 30.0, ("failed",)),
    fallback=(NextAgent("archive"),), accept={"required": ["n"]},
)  # fmt: skip
MADE = Then(3, (1,), 5)
PRINTED = Output("looking", {"topics": 2}, 6)
ALL = Wait(1, 1, (1, 2, 3), 3, "settled", START + 60, "stop", 7)
SETTLED = Settled(3, {"best": None, "text": "x"}, (Fill(("best",), Part(2, ("n",))),))
NAP = Wait(2, 2, (), 1, "settled", START + 4, "keep", 8)
DROP = Cancel(2)
END = Finished(True, {"first": 1, "second": 2})

SAID = (TEA, COFFEE, MADE, PRINTED, ALL, SETTLED, NAP, DROP, END)
"""All that a guest can say."""


def whole() -> list[Event]:
    """Return the record of a run in which a guest said all that it can say."""
    return record(
        TEA, COFFEE, MADE, PRINTED, ALL, ok(1, {"n": 1}), answer(1, 1, ended="woken"), SETTLED, NAP,
        answer(2, ended="timeout", after=4.0), DROP, bad(2, "cancelled", "the script cancelled it"), END,
    )  # fmt: skip


def place(said: object) -> int:
    return SAID.index(said)  # type: ignore[arg-type]


def other_than(said: object, *, by: object) -> Divergence:
    """Return the divergence of a guest that says something else in one place."""
    found = replayed(whole(), *SAID[: place(said)], by)  # type: ignore[arg-type]
    assert found is not None
    return found


# --- what agrees -----------------------------------------------------------------------------


def test_a_guest_that_says_the_same_is_answered_as_it_was_and_nothing_diverges():
    hand = Hand(whole())
    hand.say(*SAID)

    assert hand.told == [(1, "ok", '{"n":1}')]
    assert (hand.replayer.frames, hand.replayer.spawns, hand.replayer.notes) == (9, 2, [])
    assert hand.past.over and not hand.over


@pytest.mark.parametrize("said", [TEA, COFFEE, MADE, ALL, NAP])
def test_a_line_may_differ(said):
    moved = replace(said, line=99)

    assert replayed(whole(), *(moved if one is said else one for one in SAID)) is None


def test_a_failure_is_told_with_its_attempts_and_its_cause():
    cause = [1, "failed", "no", 2]
    hand = Hand(record(TEA, Wait(1, 1, (1,), 1), bad(1, "dependency_failed", "it needs", cause=cause), answer(1, 1)))
    hand.say(TEA, Wait(1, 1, (1,), 1))

    assert hand.told == []  # The host died before it could say what the guest would say to that.
    hand = Hand(record(TEA, Wait(1, 1, (1,), 1), bad(1, "dependency_failed", "it needs", cause=cause), answer(1, 1), done(1)))
    hand.say(TEA, Wait(1, 1, (1,), 1), Finished(True, 1))

    assert hand.told == [
        (1, "dependency_failed", '{"attempts": 2, "message": "it needs", "cause": [1, "failed", "no", 2]}')
    ]


def test_a_then_that_the_host_settles_is_answered():
    waits = Wait(2, 1, (), 1)
    said = (TEA, Then(2, (1,)), Wait(1, 1, (2,), 1), Settled(2, None, (Fill((), Part(1)),)), waits, Finished(True, 1))
    hand = Hand(record(*said[:3], ok(1, 5), answer(1, 1, ended="woken"), *said[3:5], then_ok(2, 5), answer(2, 2), said[5]))
    hand.say(*said)

    assert hand.told == [(1, "ok", "5"), (2, "ok", "5")]


# --- where a guest leaves its record: the whole, once ---------------------------------------------


def test_a_divergence_names_frame_spawn_lines_event_and_what_is_behind_it():
    found = other_than(COFFEE, by=replace(COFFEE, agent="archive", line=9))

    assert found == Divergence(
        what="spawn",
        frame=2,
        handle=2,
        line=9,
        recorded_line=4,
        seq=5,
        expected='spawn 2 of agent "research" with inputs {"topic":"coffee"}',
        got='spawn 2 of agent "archive" with inputs {"topic":"coffee"}',
        differences=('agent: expected "research", got "archive"',),
        led=('spawn 1 of agent "research" with inputs {"depth":2,"topic":"tea"}',),
        cause="somebody changed line 9",
    )


def test_a_divergence_is_an_error_with_an_exit_code_of_its_own():
    with pytest.raises(Diverged) as diverged:
        Hand(whole()).say(replace(TEA, agent="x"))

    assert diverged.value.exit_code is ExitCode.DIVERGED
    assert diverged.value.message == (
        'the replay leaves its record at frame 1: spawn 1 of agent "x" with inputs {"depth":2,"topic":"tea"}'
    )


# --- each kind: what is said of it ----------------------------------------------------------------

CHANGED_SPAWNS = {
    "inputs": ({"inputs": {"topic": "tee", "depth": 2}}, ['inputs["topic"]: expected "coffee", got "tee"', 'inputs["depth"]: expected nothing, got 2']),
    "agent": ({"agent": "archive"}, ['agent: expected "research", got "archive"']),
    "scopes": ({"scopes": ("crm:read",)}, ['scopes: expected null, got ["crm:read"]']),
    "no scopes": ({"scopes": ()}, ["scopes: expected null, got []"]),
    "timeout": ({"timeout": 2.5}, ["timeout: expected null, got 2.5"]),
    "retry": ({"retry": RetryRule(3, 1.0, 30.0, ("failed",))}, ['retry["attempts"]: expected 2, got 3']),
    "no retry": ({"retry": None}, ['retry: expected {"attempts": 2, "backoff": 1.0, "max_backoff": 30.0, "on": ["failed"]}, got null']),
    "fallback": ({"fallback": (NextAgent("archive", ("a",)),)}, ['fallback[0][1]: expected null, got ["a"]']),
    "accept": ({"accept": {"required": []}}, ['accept["required"][0]: expected "n", got nothing']),
    "label": ({"label": "second"}, ['label: expected null, got "second"']),
    "a handle": ({"inputs": {"topic": None}, "fills": (Fill(("topic",), Part(1, ("hits", 0))),)},
                 ['inputs["topic"]: expected "coffee", got "<output of 1[\'hits\'][0]>"']),
}  # fmt: skip


@pytest.mark.parametrize(("change", "told"), CHANGED_SPAWNS.values(), ids=CHANGED_SPAWNS)
def test_a_spawn_that_differs_is_told_part_by_part(change, told):
    found = other_than(COFFEE, by=replace(COFFEE, **change))

    assert (found.what, found.handle, found.frame) == ("spawn", 2, 2)
    assert list(found.differences) == told


def test_a_text_that_is_made_of_other_parts_is_told_in_words():
    made = Fill(("text",), Text(("Compare ", Part(1, ("n",)), "!")))
    spawn = Spawn(2, "write", {"text": None}, fills=(made,))
    found = replayed(record(TEA, spawn, done(1)), TEA, replace(spawn, fills=(replace(made, ref=Text(("Compare ", Part(1), "!"))),)))

    assert found is not None
    assert found.differences == ('inputs["text"]: expected "Compare <output of 1[\'n\']>!", got "Compare <output of 1>!"',)


CHANGED = {
    "then": (MADE, replace(MADE, of=(1, 2)), ("then", 3), ["of[1]: expected nothing, got 2"]),
    "settled with another value": (
        SETTLED, replace(SETTLED, value={"best": None, "text": "y"}), ("settled", 3), ['value["text"]: expected "x", got "y"']
    ),
    "settled with another part": (
        SETTLED, replace(SETTLED, fills=(Fill(("best",), Part(1, ("n",))),)), ("settled", 3),
        ["value[\"best\"]: expected \"<output of 2['n']>\", got \"<output of 1['n']>\""],
    ),
    "settled as failed": (
        SETTLED, Settled(3, kind="failed", message="ValueError: no"), ("settled", 3),
        ['outcome: expected "ok", got "failed"',
         'value: expected {"best": "<output of 2[\'n\']>", "text": "x"}, got nothing',
         'message: expected nothing, got "ValueError: no"'],
    ),
    "cancel": (DROP, Cancel(1), ("cancel", 1), []),
    "wait for other handles": (ALL, replace(ALL, handles=(1, 2)), ("wait", 0), ["handles[2]: expected 3, got nothing"]),
    "wait for fewer": (ALL, replace(ALL, need=2), ("wait", 0), ["need: expected 3, got 2"]),
    "wait for good ones": (ALL, replace(ALL, of="ok"), ("wait", 0), ['of: expected "settled", got "ok"']),
    "wait for longer": (ALL, replace(ALL, until=START + 90), ("wait", 0), ["until: expected 1750000060.0, got 1750000090.0"]),
    "wait for ever": (ALL, replace(ALL, until=None), ("wait", 0), ["until: expected 1750000060.0, got null"]),
    "wait and let go": (ALL, replace(ALL, rest="keep"), ("wait", 0), ['rest: expected "stop", got "keep"']),
    "wait of another group": (ALL, replace(ALL, group=2), ("wait", 0), ["group: expected 1, got 2"]),
    "another result": (END, Finished(True, {"first": 1, "second": 3}), ("finished", 0), ['result["second"]: expected 2, got 3']),
    "keys in another order": (
        END, Finished(True, {"second": 2, "first": 1}), ("finished", 0), ["result: its keys stand in another order"]
    ),
    "an error": (
        END, Finished(False, error=ScriptError("KeyError", "'x'", 8)), ("finished", 0),
        ['state: expected "done", got "failed"', 'result: expected {"first": 1, "second": 2}, got nothing',
         'error: expected nothing, got "KeyError"', 'message: expected nothing, got "\'x\'"'],
    ),
    "a limit": (
        END, Finished(False, limit="memory", line=8), ("finished", 0),
        ['state: expected "done", got "limit"', 'result: expected {"first": 1, "second": 2}, got nothing',
         'error: expected nothing, got "memory"', 'message: expected nothing, got "the script used more than 64 MiB of memory"'],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("said", "by", "at", "told"), CHANGED.values(), ids=CHANGED)
def test_anything_else_that_differs_is_told_part_by_part(said, by, at, told):
    found = other_than(said, by=by)

    assert (found.what, found.handle) == at
    assert found.frame == 1 + place(said)
    assert list(found.differences) == told


def test_a_failure_of_a_then_differs_by_its_message_and_not_by_its_cause():
    fails = Settled(2, kind="dependency_failed", message="no such part", cause=1)
    events = record(TEA, Then(2, (1,)), fails, done(1))

    assert replayed(events, TEA, Then(2, (1,)), replace(fails, cause=0), Finished(True, 1)) is None
    found = replayed(events, TEA, Then(2, (1,)), replace(fails, message="another"))
    assert found is not None and found.differences == ('message: expected "no such part", got "another"',)


def test_an_error_is_compared_by_kind_and_message_and_its_line_is_a_note():
    events = record(TEA, failed("ValueError", "no", 9))
    hand = Hand(events)
    hand.say(TEA, Finished(False, error=ScriptError("ValueError", "no", 8)))

    assert hand.replayer.notes == ["the script ended at line 8, in the record at line 9"]
    found = replayed(events, TEA, Finished(False, error=ScriptError("KeyError", "no", 8)))
    assert found is not None
    assert (found.line, found.recorded_line, found.differences) == (8, 9, ('error: expected "ValueError", got "KeyError"',))


# --- more than the record, less, in another order ---------------------------------------------------

WORDS = {"spawn": TEA, "then": Then(1, (1,)), "settled": Settled(1, 1), "cancel": Cancel(1), "wait": Wait(1, 1, (), 1, until=START)}


@pytest.mark.parametrize(("what", "said"), WORDS.items())
def test_a_guest_that_says_more_than_the_record_diverges_there(what, said):
    found = replayed(record(done(7)), said)

    assert found is not None
    assert (found.what, found.frame, found.seq, found.expected) == (what, 1, 4, "the end: done, with result 7")


def test_a_guest_that_says_less_than_the_record_diverges_at_its_end():
    found = replayed(whole(), *SAID[: place(SETTLED)], END)

    assert found is not None
    assert (found.what, found.handle, found.frame, found.seq) == ("finished", 0, 6, 11)
    assert found.expected == "then 3 settled with {\"best\":\"<output of 2['n']>\",\"text\":\"x\"}"
    assert found.got == 'the end: done, with result {"first":1,"second":2}'


@pytest.mark.parametrize("recorded", [TEA, MADE, SETTLED, DROP, ALL], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("said", [TEA, MADE, SETTLED, DROP, ALL, END], ids=lambda one: type(one).__name__)
def test_a_message_of_another_kind_diverges_and_both_are_told(recorded, said):
    if said is recorded:
        return
    before = [COFFEE, TEA, MADE] if recorded not in (TEA, MADE) else []
    numbered = [replace(one, n=place) for place, one in enumerate(before, 1)]
    recorded = replace(recorded, n=len(numbered) + 1) if not before else recorded

    found = replayed(record(*numbered, recorded, done(1)), *numbered, said)

    assert found is not None
    assert found.frame == 1 + len(numbered) and found.expected != found.got and found.differences == ()


# --- texts that are printed ------------------------------------------------------------------------


def notes(*said) -> list[str]:
    hand = Hand(whole())
    hand.say(*said)
    return hand.replayer.notes


def test_what_is_printed_may_differ_and_is_noted():
    other = Output("looked", {"topics": 3}, 6)

    assert notes(*(other if one is PRINTED else one for one in SAID)) == [
        'line 6: printed otherwise: fields["topics"]: expected 2, got 3; text: expected "looking", got "looked"'
    ]
    assert notes(*(one for one in SAID if one is not PRINTED)) == ["line 6: a text of the record was not printed"]
    assert notes(PRINTED, *SAID) == ["line 6: a text was printed that the record does not have"]
    assert notes(*SAID[:-1], PRINTED, END) == ["line 6: a text was printed that the record does not have"]


def test_no_more_than_twenty_notes_are_kept():
    assert len(notes(*[PRINTED] * 50, *SAID)) == 20


# --- the record ends where the host ended the run, or died --------------------------------------------


@pytest.mark.parametrize("by", [[stopped()], []], ids=["stopped", "died"])
@pytest.mark.parametrize("said", range(1, len(SAID)))
def test_a_record_of_a_run_that_the_host_ended_is_over_behind_its_last_message(by, said):
    events = [event for event in whole() if event.seq < 4 + 13 - 1]
    last = [event.seq for event in events if str(event.kind) in _SAID_KINDS][said - 1]
    hand = Hand([event for event in events if event.seq <= last] + record(*by, first=last + 1))
    hand.say(*SAID)

    assert hand.over
    assert hand.replayer.frames == said


_SAID_KINDS = {"spawn_requested", "then_requested", "then_returned", "output_written", "wait_opened", "spawn_cancelled"}


def test_a_record_without_a_word_of_the_guest_is_over_before_it_speaks():
    hand = Hand(record(stopped()))
    hand.say(TEA)

    assert hand.over and hand.replayer.frames == 0


# --- what was erased -----------------------------------------------------------------------------------


def without(seq: int) -> list[Event]:
    return [erased(event) if event.seq == seq else event for event in whole()]


ERASED = {
    "what spawn 1 was asked with": (4, 1),
    "the outcome of handle 1": (9, 5),
    "what then 3 came to": (11, 6),
    "what the run ended with": (16, 9),
}


@pytest.mark.parametrize(("what", "at"), ERASED.items(), ids=ERASED)
def test_a_replay_stops_at_a_value_that_was_erased_and_says_so(what, at):
    seq, frame = at
    found = replayed(without(seq), *SAID)

    assert found is not None
    assert (found.what, found.frame, found.seq) == ("erased", frame, seq)
    assert found.got == f"{what} was erased from the record (event {seq})"
    assert found.cause == "the record was redacted; what comes after it cannot be replayed"


def test_another_agent_is_a_divergence_also_where_the_inputs_were_erased():
    found = replayed(without(4), replace(TEA, agent="archive"))

    assert found is not None
    assert (found.what, found.handle) == ("spawn", 1)
    assert found.expected == 'spawn 1 of agent "research"'
    assert found.differences == ('agent: expected "research", got "archive"',)


def test_a_text_that_was_erased_is_not_compared():
    hand = Hand(without(7))
    hand.say(*SAID)

    assert hand.replayer.notes == []


# --- values that are no longer in memory ---------------------------------------------------------------


def test_outputs_beyond_what_is_kept_are_read_back_when_they_are_due(monkeypatch):
    monkeypatch.setattr("runner.replay.past.KEPT_BYTES", 120)
    spawns = [Spawn(n, "research", n) for n in range(1, 21)]
    wait = Wait(1, 1, tuple(range(1, 21)), 20)
    events = record(*spawns, wait, *(ok(n, f"output {n:02} {'x' * 30}") for n in range(1, 21)), answer(1, *range(1, 21)), done(1))
    asked: list[int] = []

    def value(seq: int) -> str | None:
        asked.append(seq)
        return next(event.value for event in events if event.seq == seq)

    hand = Hand(events, value=value)
    hand.say(*spawns, wait, Finished(True, 1))

    assert [n for n, _, _ in hand.told] == list(range(1, 21))
    assert all(text.startswith(f'"output {n:02} ') for n, _, text in hand.told)
    assert len(asked) == 18, "two fit into what is kept"


# --- as a person reads it --------------------------------------------------------------------------------


def golden(text: str) -> list[str]:
    return dedent(text).strip("\n").splitlines()


def test_a_spawn_that_differs_reads_like_this():
    found = other_than(COFFEE, by=replace(COFFEE, inputs={"topic": "cocoa"}, timeout=30.0, line=9))

    assert lines(found) == golden("""
        diverged at frame 2, spawn 2, line 9 (line 4 in the record)
          expected: spawn 2 of agent "research" with inputs {"topic":"coffee"}
          got:      spawn 2 of agent "research" with inputs {"topic":"cocoa"}
          differences:
            timeout: expected null, got 30.0
            inputs["topic"]: expected "coffee", got "cocoa"
          what agreed before it:
            spawn 1 of agent "research" with inputs {"depth":2,"topic":"tea"}
          likely cause: somebody changed line 9
    """)


def test_a_then_that_settles_otherwise_reads_like_this():
    found = other_than(SETTLED, by=Settled(3, kind="failed", message="ValueError: no"))

    assert lines(found) == golden("""
        diverged at frame 6, then 3
          expected: then 3 settled with {"best":"<output of 2['n']>","text":"x"}
          got:      then 3 settled as failed: ValueError: no
          differences:
            outcome: expected "ok", got "failed"
            value: expected {"best": "<output of 2['n']>", "text": "x"}, got nothing
            message: expected nothing, got "ValueError: no"
          what agreed before it:
            spawn 1 of agent "research" with inputs {"depth":2,"topic":"tea"}
            spawn 2 of agent "research" with inputs {"topic":"coffee"}
            then 3, to be made of handle 1
            a printed text: "looking"
            wait 1 for 3 of group 1 with handles 1, 2, 3 new in it, until 2025-06-15 15:07:40 UTC at most; the others are stopped
            answer 1: woken, with handle 1
          likely cause: somebody changed line 0
    """)


def test_a_guest_that_waits_where_it_had_ended_reads_like_this():
    events = record(TEA, Wait(1, 1, (1,), 1, "ok"), ok(1, 5), answer(1, 1), done({"n": 5}))
    found = replayed(events, TEA, Wait(1, 1, (1,), 1, "ok"), replace(NAP, until=START + 4.5))

    assert found is not None
    assert lines(found) == golden("""
        diverged at frame 3, line 8
          expected: the end: done, with result {"n":5}
          got:      wait 2 until 2025-06-15 15:06:44.500000 UTC, or for 1 of group 2
          what agreed before it:
            spawn 1 of agent "research" with inputs {"depth":2,"topic":"tea"}
            wait 1 for 1 of group 1 to succeed with handle 1 new in it
            answer 1: ready, with handle 1
          likely cause: somebody changed line 8
    """)


def test_a_guest_that_ended_where_it_had_cancelled_reads_like_this():
    found = replayed(record(TEA, Cancel(1), failed("KeyError", "'x'", 4)), TEA, Finished(False, error=ScriptError("KeyError", "'x'", 5)))

    assert found is not None
    assert lines(found) == golden("""
        diverged at frame 2, line 5
          expected: cancel of handle 1
          got:      the end: failed, KeyError at line 5: 'x'
          what agreed before it:
            spawn 1 of agent "research" with inputs {"depth":2,"topic":"tea"}
          likely cause: somebody changed line 5
    """)


def test_a_value_that_was_erased_reads_like_this():
    found = replayed(without(9), *SAID)

    assert found is not None
    assert lines(found) == golden("""
        diverged at frame 5
          expected: a value that the record held
          got:      the outcome of handle 1 was erased from the record (event 9)
          what agreed before it:
            spawn 1 of agent "research" with inputs {"depth":2,"topic":"tea"}
            spawn 2 of agent "research" with inputs {"topic":"coffee"}
            then 3, to be made of handle 1
            a printed text: "looking"
            wait 1 for 3 of group 1 with handles 1, 2, 3 new in it, until 2025-06-15 15:07:40 UTC at most; the others are stopped
            answer 1: woken, with handle 1
          likely cause: the record was redacted; what comes after it cannot be replayed
    """)


def test_long_values_are_shortened_to_the_place_of_their_difference():
    long = replace(COFFEE, inputs={"topic": "x" * 500 + "coffee"})
    found = replayed(record(TEA, long, done(1)), TEA, replace(long, inputs={"topic": "x" * 500 + "cocoa"}))

    assert found is not None
    assert len(found.expected) < 250 and found.expected.endswith(" ...")
    assert found.differences == (
        f'inputs["topic"]: expected "...{"x" * 18}coffee" (from character 482), got "...{"x" * 18}cocoa" (from character 482)',
    )
