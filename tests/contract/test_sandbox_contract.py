"""What every sandbox owes its callers, on real guests: `seams.Sandbox` and `seams.Channel`, clause by clause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from runner.errors import GuestDied, LockNotVerified
from runner.guest import dialect, wire
from runner.models import MIB, Limits
from runner.sandbox.pool import Pool
from runner.sandbox.process import ProcessSandbox
from runner.seams import Sandbox
from tests.support import Answers, converse, ready, start_of
from tests.workloads import ENDINGS, WORKLOADS

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.own_nursery]
LIMITS = Limits(memory_bytes=128 * MIB)


def open_sandbox(kind: str) -> Sandbox:
    if kind == "process":
        return ProcessSandbox()
    from runner.sandbox.docker import DockerSandbox

    return DockerSandbox(store="tests", host="tests")


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=["process", "process pool", pytest.param("docker", marks=pytest.mark.docker)],
)
async def sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    kind, _, pooled = request.param.partition(" ")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNNER_HOME", str(tmp_path_factory.mktemp("home")))
        inner = open_sandbox(kind)
        sandbox: Sandbox = Pool(inner, 1) if pooled else inner
        await (await sandbox.start(LIMITS)).kill()
    yield sandbox
    await sandbox.close()


async def test_a_guest_says_ready_first_and_is_then_seen_to_be_locked(sandbox):
    channel = await sandbox.start(LIMITS)
    message, reader = await ready(channel)
    await channel.kill()

    assert (message.protocol, message.dialect) == (wire.PROTOCOL, dialect.VERSION)
    assert message.bundle == channel.facts.bundle
    assert channel.facts.kind == sandbox.kind and channel.facts.pid > 0
    assert "seccomp-lock" in channel.facts.hardening
    assert not reader.midway


async def test_a_script_speaks_with_its_host_to_the_end(sandbox):
    source = """
print("first", inputs["n"])
outputs = gather([spawn("echo", {"n": n}) for n in range(inputs["n"])])
sleep(5)
late = [h.result() for h in as_completed([spawn("echo", "late")])]
import time
result = {"outputs": outputs, "late": late, "time": time.time()}
"""
    talk = await converse(await sandbox.start(LIMITS), source, inputs={"n": 3})

    assert talk.printed == "first 3\n"
    assert [spawn.inputs for spawn in talk.of(wire.Spawn)] == [{"n": 0}, {"n": 1}, {"n": 2}, "late"]
    assert talk.last.result == {
        "outputs": [{"said": {"n": n}} for n in range(3)], "late": [{"said": "late"}], "time": 1_750_000_005.0,
    }  # fmt: skip
    assert (talk.exit.reason, talk.exit.code) == ("exit", 0)


async def test_the_same_script_says_the_same_in_every_guest(sandbox):
    source = """
import random, uuid
class Thing: pass
words = {w for w in "the quick brown fox jumps over the lazy dog".split()}
things = {Thing(): n for n in range(5)}
print(list(words), hash("x"), list(things.values()), random.random(), uuid.uuid4(), repr(Thing()))
result = [hash(h) for h in {spawn("a"), spawn("b")}]
"""
    talks = [await converse(await sandbox.start(LIMITS), source, seed=11) for _ in range(2)]

    assert talks[0].said == talks[1].said
    assert talks[0].last.ok


async def test_an_uncaught_exception_is_told_with_its_lines_and_without_paths(sandbox):
    source = "def f(x):\n    return 1 / x\n\ndef g():\n    return f(0)\n\ng()"
    talk = await converse(await sandbox.start(LIMITS), source)

    assert talk.last.error == wire.ScriptError(
        "ZeroDivisionError", "division by zero", 2, ((7, "<module>"), (5, "g"), (2, "f"))
    )


async def test_whatever_ends_a_script_fits_the_smallest_frame(sandbox):
    name = "f" * 300
    source = f"""
def {name}(n):
    if n:
        return {name}(n - 1)
    raise ValueError("\\x01" * 9000)
print("\\x01" * 9000)
{name}(90)
"""
    limits = Limits(memory_bytes=LIMITS.memory_bytes, frame_bytes=4096)
    talk = await converse(await sandbox.start(LIMITS), source, limits=limits)

    assert talk.last.error.type == "ValueError"
    assert max(wire.payload_bytes(wire.encode_guest(message)) for message in talk.said) <= 4096


async def test_an_exception_inside_the_api_is_told_at_the_line_of_the_script(sandbox):
    talk = await converse(await sandbox.start(LIMITS), "x = 1\n\ngather([spawn('echo', {'fail': 'denied'})])")

    assert talk.last.error == wire.ScriptError("SpawnDenied", "echo was told to", 3, ((3, "<module>"),))


SCRIPT_ENDS = [
    ("result = {1, 2}", "ResultError", "result is a set, which is no JSON: write sorted(...) or list(...) around it"),
    ("result = [spawn('a')]", "ResultError", "result[0] is a handle: write gather(...) around it"),
    ("result = float('inf')", "ResultError", "result is inf, which is no JSON number"),
    ("result = '\\ud800'", "ResultError", "result has a lone surrogate in a text, which is no Unicode text"),
    ("spawn('a', {spawn('b'): 1})", "InvalidInput",
     "spawn('a'): inputs has a handle as a key, and a key is a str: make the handle a value, or write a list of pairs"),
    ("if spawn('a'): pass", "TypeError",
     "handles have no truth value before their outcome is there: write `h.ok`, or `h is not None`"),
    ("x = f\"{spawn('a'):>10}\"", "TypeError",
     'a format is for a value, and a handle is none yet: write f"{h}", or f"{h.result():...}"'),
    ("import json\njson.dumps([spawn('a')])", "TypeError",
     'handles have no JSON before their outcome is there: put the handle itself into the inputs, write f"{h}" for its '
     "text, or json.dumps(h.result())"),
    ("raise ValueError('a\\ud800' + 'x' * 9000)", "ValueError", "a?" + "x" * 3995 + "..."),
    ("class E(Exception):\n    def __str__(self): return 1 / 0\nraise E()", "E", "<E whose text cannot be made>"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "type_", "message"), SCRIPT_ENDS, ids=range(len(SCRIPT_ENDS)))
async def test_an_error_says_what_to_write(sandbox, source, type_, message):
    talk = await converse(await sandbox.start(LIMITS), source)

    assert (talk.last.error.type, talk.last.error.message) == (type_, message)


COMPOSED = """
def grow(page):
    return [page["said"]["n"], spawn("more", {"n": page["said"]["n"] * 10})["said"]["n"]]

pages = [spawn("page", {"n": n}, label=f"page {n}") for n in range(2)]
grown = [page.then(grow) for page in pages]
text = f"{len(pages)} pages: " + ", ".join(page["said"]["n"] for page in pages)
summary = spawn("sum", {"text": text, "first": grown[0], "all": [pages[-1]["said"]]})
print(summary, text)
order = [handle.label for handle in as_completed({*pages})]
result = {"grown": gather(grown), "summary": summary.result()["said"], "order": order, "text": gather(text)}
"""


async def test_a_script_composes_handles_and_what_then_makes_of_them(sandbox):
    talk = await converse(await sandbox.start(LIMITS), COMPOSED)

    assert talk.last == wire.Finished(ok=True, result={
        "grown": [[0, 0], [1, 10]],
        "summary": {"text": "2 pages: 0, 1", "first": [0, 0], "all": [{"n": 1}]},
        "order": ["page 0", "page 1"],
        "text": "2 pages: 0, 1",
    })  # fmt: skip
    first, second = (f"<Handle {n} page 'page {n - 1}' [\"said\"][\"n\"]>" for n in (1, 2))
    assert talk.printed == f"<Handle 5 sum> 2 pages: {first}, {second}\n"


WITHIN_THEN = {
    "recursion": "def f(x): return f(x)",
    "memory": "def f(x):\n    x = []\n    while True: x.append('x' * 1_000_000)",
    "memory, caught": "def f(x):\n    x = []\n    while True:\n        try: x.append(list(range(1000)))\n"
                      "        except Exception: pass",
}  # fmt: skip


@pytest.mark.parametrize("name", WITHIN_THEN)
@pytest.mark.parametrize("wait", ["h.ok", "gather([h], on_error='none')", "for one in as_completed([h]): one.error"])
async def test_what_ends_a_run_ends_it_inside_a_then_too(sandbox, name, wait):
    source = f"""
{WITHIN_THEN[name]}
h = spawn('a').then(f)
try:
    {wait}
except Exception:
    print("went on")
finally:
    print("went on")
"""
    talk = await converse(await sandbox.start(LIMITS), source)

    assert (talk.last.limit, talk.exit.code, talk.printed) == (name.partition(",")[0], 0, "")


@pytest.mark.parametrize(
    ("source", "limit"),
    [
        ("spawn('a').then(lambda x: [spawn('a', n) for n in range(9)]).result()", "spawns"),
        *(ENDINGS[name] for name in ("memory, in big pieces", "memory, caught", "recursion", "recursion through sort")),
        ("for n in range(9): spawn('a', n)", "spawns"),
        ("try:\n    for n in range(9): spawn('a', n)\nexcept LimitReached as e:\n    raise", "spawns"),
        ("result = 'x' * 5_000_000", "result"),
        ("result = [0] * 3_000_000", "result"),
    ],
)
async def test_a_limit_that_the_guest_reaches_is_its_last_word(sandbox, source, limit):
    limits = Limits(memory_bytes=LIMITS.memory_bytes, spawns=5)
    talk = await converse(await sandbox.start(LIMITS), source, limits=limits)

    assert (talk.last.limit, talk.exit.code) == (limit, 0)
    assert len(talk.of(wire.Spawn)) == (5 if limit == "spawns" else 0)


async def test_thens_beyond_their_limit_end_the_run_like_spawns(sandbox):
    source = "h = spawn('a')\n\nwhile True: h.then(len)"
    talk = await converse(await sandbox.start(LIMITS), source, limits=Limits(memory_bytes=LIMITS.memory_bytes, spawns=5))

    assert talk.last == wire.Finished(ok=False, limit="spawns", line=3)
    assert len(talk.of(wire.Then)) == wire.thens_allowed(5)


async def test_a_spawn_limit_can_be_caught(sandbox):
    source = """
count = 0
try:
    while True:
        spawn("a")
        count += 1
except LimitReached as error:
    result = [count, error.kind, limits.spawns_left]
"""
    talk = await converse(await sandbox.start(LIMITS), source, limits=Limits(spawns=3))

    assert talk.last.result == [3, "limit_reached", 0]


@pytest.mark.parametrize("work", ["a sort", "exceptions", "decimals", "dates", "codecs", "a big frame", "garbage"])
async def test_ordinary_work_passes_the_lock(sandbox, work):
    source, result = WORKLOADS[work]
    talk = await converse(await sandbox.start(LIMITS), source)

    assert (talk.last, talk.exit.code) == (wire.Finished(ok=True, result=result), 0)


async def test_a_guest_that_computes_for_too_long_is_killed_for_that(sandbox):
    channel = await sandbox.start(LIMITS)
    talk = await converse(channel, "while True:\n    pass", limits=Limits(cpu_seconds=0.3))

    assert talk.exit.reason == "cpu"
    assert channel.cpu_seconds() >= 0.25


async def test_waiting_costs_a_guest_no_cpu_time(sandbox):
    channel = await sandbox.start(LIMITS)
    _, reader = await ready(channel)
    channel.limit_cpu(60)
    await channel.send(wire.encode_start(start_of("spawn('a').result()")))
    while not reader.feed(await channel.receive()):
        pass
    before = channel.cpu_seconds()
    await asyncio.sleep(0.05)

    assert channel.cpu_seconds() - before < 0.02
    await channel.kill()


async def test_many_answers_and_big_ones_pass_whole(sandbox):
    source = "result = [len(o['said']['x']) for o in gather([spawn('echo', {'x': 'ä' * (n * 7)}) for n in range(900)])]"
    talk = await converse(await sandbox.start(LIMITS), source, answers=Answers())

    assert talk.last.result == [n * 7 for n in range(900)]


async def test_a_killed_guest_is_gone_and_everything_says_so(sandbox):
    channel = await sandbox.start(LIMITS)
    await ready(channel)
    waiting = asyncio.ensure_future(channel.receive())
    await asyncio.sleep(0)
    await asyncio.gather(channel.kill(), channel.kill())

    assert await waiting == b""
    assert (await channel.wait()).reason == "killed"
    with pytest.raises(GuestDied):
        await channel.send(bytes(1 << 24))
    with pytest.raises(LockNotVerified):
        await channel.verify_lock()
    channel.limit_cpu(1)
    await channel.kill()


async def test_guests_know_nothing_of_each_other(sandbox):
    channels = await asyncio.gather(*(sandbox.start(LIMITS) for _ in range(4)))
    talks = await asyncio.gather(
        *(converse(channel, "print(inputs)\nresult = inputs", inputs=n) for n, channel in enumerate(channels))
    )

    assert [talk.last.result for talk in talks] == [0, 1, 2, 3]
    assert len({channel.facts.pid for channel in channels}) == 4


async def test_a_guest_of_another_dialect_says_so_and_runs_nothing(sandbox):
    talk = await converse(await sandbox.start(LIMITS), "print('ran')", dialect=99)

    assert talk.said == [wire.Rejected(f"this guest has dialect {dialect.VERSION}, the host asked for 99")]


REJECTED = ["import os", "x = (", "eval('1')", "().__subclasses__", "``` \nx\n```", "\0", "async def f(): pass"]


@pytest.mark.parametrize("source", REJECTED)
async def test_what_the_check_would_refuse_the_guest_refuses_too(sandbox, source):
    talk = await converse(await sandbox.start(LIMITS), source)

    assert len(talk.said) == 1 and isinstance(talk.last, wire.Rejected)
    assert talk.exit.code == 0


async def test_only_the_imports_of_the_policy_are_there(sandbox):
    allowed = await converse(await sandbox.start(LIMITS), "import math\nresult = math.pi > 3", imports=("math",))
    refused = await converse(await sandbox.start(LIMITS), "import json", imports=("math",))

    assert allowed.last.result is True
    assert isinstance(refused.last, wire.Rejected)
