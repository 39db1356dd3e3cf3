"""The conversation between host and guest: what is said, in which order, and how it looks as bytes.

A frame is four bytes of length (big endian, the length of what follows) and one JSON object in
UTF-8, whose "t" names its type. Only this package knows that.

    guest → host
      ready     protocol, bundle, python, dialect          once, first, after the lock
      spawn     n, agent, inputs, scopes, timeout, label, line      n counts 1, 2, 3 ... without gaps
      cancel    n                                          n is a spawn told before
      output    text, fields, line                         what the script printed or logged
      wait      n, handles, need, fail_fast, until, rest, line
                                                           n counts 1, 2, 3 ...; one is open at a time
      finished  result | error | limit                     once, last
      rejected  reason                                     instead of finished: the guest's own compile
                                                           disagrees with the host's check (a defect)
    host → guest
      start     script, name, inputs, seed, now, limits, imports, dialect      once, answers ready
      answer    n, outcomes, ended, now, more              answers the open wait; may travel in several
                                                           frames, all but the last with more = true

spawn, cancel and output are never answered. The guest buffers them and flushes before wait and
finished, and when its buffer is full: it never reads but after a wait, so pipes cannot deadlock.
What a script can observe is a function of the script, start and the sequence of answers.

spawn     inputs: a JSON value. scopes: null (the agent's default) or a list of strings. timeout: null
          or seconds > 0, for one attempt. label: null or text. line: where in the script, 0 unknown.
wait      handles: spawn numbers, each at most once. The host answers when `need` of them have settled
          since they were never in an answer before or were, or, with fail_fast, when one of them
          has failed, or when its clock reaches `until` (epoch seconds, null for never). need = 0 with
          `until` is a sleep. rest: "keep" leaves the handles that have not settled alone; "stop"
          settles them before the answer: as `timed_out` when the time ran out, else as `cancelled`.
answer    outcomes: [n, "ok", value] or [n, kind, {"message", "attempts"}] in order of delivery: those of
          the wait's handles that have settled and were in no earlier answer. ended: "ready" (need reached),
          "failed" (fail_fast), "timeout". now: the host's clock, epoch seconds: the guest's time until
          its next wait.
finished  exactly one of: result (a JSON value); error {"type", "message", "line", "trace"}, trace: a list
          of [line, function] from the outermost frame of the script to the innermost; limit: "memory",
          "recursion", "spawns" or "result" (too large), with "line".

JSON here is exact: no NaN, no infinities, no lone surrogates, at most MAX_DEPTH levels. Bytes from a
guest are hostile: `FrameReader` looks at the length before it keeps a byte, and `decode_guest` checks
every field; anything else is a `WireError`, and the host then kills the guest.

Not here: whose turn it is (session), and any reading or writing.
"""

from runner.guest.wire.frames import FrameReader, payload_bytes
from runner.guest.wire.from_guest import decode_guest, encode_guest
from runner.guest.wire.from_host import decode_host, encode_answer, encode_start
from runner.guest.wire.messages import (
    ENDED,
    GUEST_LIMITS,
    MAX_DEPTH,
    MAX_FRAME_BYTES,
    MAX_LABEL_CHARS,
    MAX_MESSAGE_CHARS,
    MAX_NAME_CHARS,
    MAX_SCOPES,
    MAX_START_BYTES,
    MAX_TRACE,
    OK,
    PROTOCOL,
    RESTS,
    Answer,
    Cancel,
    Finished,
    FromGuest,
    FromHost,
    Json,
    Output,
    Ready,
    Rejected,
    ScriptError,
    Spawn,
    Start,
    Wait,
    WireError,
)  # fmt: skip
from runner.guest.wire.text import canonical, loads

__all__ = [
    "ENDED", "GUEST_LIMITS", "MAX_DEPTH", "MAX_FRAME_BYTES", "MAX_LABEL_CHARS", "MAX_MESSAGE_CHARS", "MAX_NAME_CHARS",
    "MAX_SCOPES", "MAX_START_BYTES", "MAX_TRACE", "OK", "PROTOCOL", "RESTS", "Answer", "Cancel", "Finished",
    "FrameReader", "FromGuest", "FromHost", "Json", "Output", "Ready", "Rejected", "ScriptError", "Spawn", "Start",
    "Wait", "WireError", "canonical", "decode_guest", "decode_host", "encode_answer", "encode_guest", "encode_start",
    "loads", "payload_bytes",
]  # fmt: skip
