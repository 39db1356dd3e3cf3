"""The conversation between host and guest: what is said, in which order, and how it looks as bytes.

A frame is four bytes of length (big endian, the length of what follows) and one JSON object in
UTF-8, whose "t" names its type. Only this package knows that.

    guest → host
      ready     protocol, bundle, python, dialect          once, first, after the lock
      spawn     n, agent, inputs, scopes, timeout, label, line [, fills] [, retry] [, fallback] [, accept]
                                                           spawns and thens count n 1, 2, 3 ... without gaps
      then      n, of, line                                handle n will be what the script makes of others
      settled   n, value [, fills] | kind, message, cause  what it made of it; once for each then at most
      cancel    n                                          n is a handle told before
      output    text, fields, line                         what the script printed or logged
      wait      n, group, handles, need, of, until, rest, line
                                                           n counts 1, 2, 3 ...; one is open at a time
      lines     lines                                      once, before finished, where start has trace = true
      finished  result | error | limit                     once, last
      rejected  reason                                     instead of finished: the guest's own compile
                                                           disagrees with the host's check (a defect)
    host → guest
      start     script, name, inputs, seed, now, limits, imports, dialect [, trace]      once, answers ready
      answer    n, outcomes, ended, now, more              answers the open wait; may travel in several
                                                           frames, all but the last with more = true

All but wait are never answered. The guest buffers them and flushes before wait and finished, and when
its buffer is full: it never reads but after a wait, so pipes cannot deadlock.
What a script can observe is a function of the script, start and the sequence of answers.

spawn     inputs: a JSON value. scopes: null (the agent's default) or a list of strings. timeout: null
          or seconds > 0, for each attempt. label: null or text. line: where in the script, 0 unknown.
          retry: {"attempts" (further ones), "backoff", "max_backoff" (seconds), "on" (kinds)}.
          fallback: a list of {"agent", "scopes"}, in order. accept: a JSON Schema, not null.
fills     a list of [at, ref]: what the host puts in, and where; the value holds null there. at: keys and
          indexes from the outside in. ref: {"part": handle, "path": [step, ...]}, a step being a key, an
          index, or [start, stop, step] for a slice; or {"text": [text | part, ...]}. No two are at the
          same place, and all are made of at most MAX_PIECES parts and texts. In a text, a text value stands
          as it is, any other as canonical JSON.
          A handle in a spawn's fills was told before it; in a then's value it may be any told so far.
then      of: handles. If one of them fails, the host settles n as `dependency_failed`, and the guest
          never says settled. While n is open, an answer comes as soon as one of them succeeds.
cancel    Of a handle that is in an answer it says nothing. Any other counts as delivered, as `cancelled`: no
          wait names it any more, and its group no longer counts it.
settled   A plain value or a failure counts as delivered: no wait names n any more. With fills the host
          settles n when they are there. kind: one of GUEST_KINDS. cause: the handle whose output had no
          such part, or 0.
wait      group: a number that the guest chose for a set of handles; `handles` are added to it, each told
          before, none in an answer yet. A group of a new number begins empty. The host holds the
          GROUPS_KEPT groups waited for last. It answers when `need` of the group's handles that are in
          no answer yet have settled (of = "settled": "ready") or have succeeded (of = "ok": "ready", or
          "failed" once fewer than that still can); or when its clock reaches `until` (epoch seconds,
          null for never: "timeout"); or, whatever the group, when a handle of an open then has succeeded
          and is in no answer yet ("woken"). A sleep is a group without handles and need = 1.
          rest: what becomes of the group's handles that have not settled, unless it was woken. "keep"
          leaves them alone; "stop" settles them before the answer, as `timed_out` when the time ran out,
          else as `cancelled`; "expire" does so only when the time ran out.
answer    outcomes: [n, "ok", value] or [n, kind, {"message", "attempts" [, "cause"]}] in order of delivery:
          the group's handles, and those of open thens, that have settled and were in no earlier answer.
          cause: [handle, kind, message, attempts], the failure that came first.
          now: the host's clock, epoch seconds: the guest's time until its next wait.
finished  exactly one of: result (a JSON value); error {"type", "message", "line", "trace"}, trace: a list
          of [line, function] from the outermost frame of the script to the innermost; limit: "memory",
          "recursion", "spawns" or "result" (too large), with "line".

JSON here is exact: no NaN, no infinities, no lone surrogates, at most MAX_DEPTH levels. Bytes from a
guest are hostile: `FrameReader` looks at the length before it keeps a byte, and `decode_guest` checks
every field; anything else is a `WireError`, and the host then kills the guest.

Not here: whose turn it is (session), and any reading or writing.
"""

from runner.guest.wire.fills import fills_json, pieces
from runner.guest.wire.frames import FrameReader, payload_bytes
from runner.guest.wire.from_guest import decode_guest, encode_guest
from runner.guest.wire.from_host import decode_host, encode_answer, encode_start
from runner.guest.wire.messages import (
    ENDED,
    GROUPS_KEPT,
    GUEST_KINDS,
    GUEST_LIMITS,
    MAX_ACCEPT_CHARS,
    MAX_DEPTH,
    MAX_FALLBACKS,
    MAX_FRAME_BYTES,
    MAX_LABEL_CHARS,
    MAX_MESSAGE_CHARS,
    MAX_NAME_CHARS,
    MAX_PIECES,
    MAX_RETRIES,
    MAX_SCOPES,
    MAX_START_BYTES,
    MAX_TRACE,
    NEEDS,
    OK,
    PROTOCOL,
    RESTS,
    RETRIED,
    Answer,
    Cancel,
    Fill,
    Finished,
    FromGuest,
    FromHost,
    Json,
    Lines,
    NextAgent,
    Output,
    Part,
    Ready,
    Rejected,
    RetryRule,
    ScriptError,
    Settled,
    Spawn,
    Start,
    Step,
    Text,
    Then,
    Wait,
    WireError,
    thens_allowed,
)  # fmt: skip
from runner.guest.wire.text import canonical, compact, loads

__all__ = [
    "ENDED", "GROUPS_KEPT", "GUEST_KINDS", "GUEST_LIMITS", "MAX_ACCEPT_CHARS", "MAX_DEPTH", "MAX_FALLBACKS",
    "MAX_FRAME_BYTES", "MAX_LABEL_CHARS", "MAX_MESSAGE_CHARS", "MAX_NAME_CHARS", "MAX_PIECES", "MAX_RETRIES",
    "MAX_SCOPES", "MAX_START_BYTES", "MAX_TRACE", "NEEDS", "OK", "PROTOCOL", "RESTS", "RETRIED", "Answer", "Cancel",
    "Fill", "Finished", "FrameReader", "FromGuest", "FromHost", "Json", "Lines", "NextAgent", "Output", "Part", "Ready",
    "Rejected", "RetryRule", "ScriptError", "Settled", "Spawn", "Start", "Step", "Text", "Then", "Wait",
    "WireError", "canonical", "compact", "decode_guest", "decode_host", "encode_answer", "encode_guest",
    "encode_start", "fills_json", "loads", "payload_bytes", "pieces", "thens_allowed",
]  # fmt: skip
