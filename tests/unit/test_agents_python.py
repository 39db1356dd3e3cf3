"""Functions as agents: in the host, in workers, and the modules they come from."""

# ruff: noqa: ASYNC110 (a test looks at files and processes that others change)
from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runner.agents import Setting, build_agent
from runner.broker.schema import OutputSchema
from runner.clock import HeldClock
from runner.errors import AgentFault, PolicyError
from runner.policy import load_policy_text
from tests.unit.agents_by_hand import HandCredential, all_gone, call, entry, lives, python_agent, written


async def fault_of(folder: Path, source: str, inputs: Any = None) -> AgentFault:
    agent = python_agent(folder, source)
    with pytest.raises(AgentFault) as raised:
        await agent.run(call(inputs))
    await agent.close()
    return raised.value


# --- what an agent may say -------------------------------------------------------------------

BOTH = pytest.mark.parametrize("define", ["async def", "def"])


@BOTH
async def test_the_text_of_an_agent_error_reaches_the_script(tmp_path: Path, define: str) -> None:
    source = f"from runner.agents import AgentError\n{define} f(inputs): raise AgentError('no such\\x1b[31m vendor')"
    fault = await fault_of(tmp_path, source)

    assert (fault.kind, fault.message) == ("failed", "no such[31m vendor")


@BOTH
async def test_a_subclass_of_agent_error_is_heard_too(tmp_path: Path, define: str) -> None:
    source = f"import runner.agents\nclass Own(runner.agents.AgentError): pass\n{define} f(inputs): raise Own('busy')"

    assert (await fault_of(tmp_path, source)).message == "busy"


@BOTH
async def test_of_another_exception_the_script_hears_the_type_alone(tmp_path: Path, define: str) -> None:
    fault = await fault_of(tmp_path, f"{define} f(inputs): raise KeyError('/srv/key')")

    assert fault.message == 'agent "a" raised KeyError'
    assert "/srv/key" in fault.detail and "Traceback" in fault.detail


@BOTH
async def test_an_agent_that_exits_fails_and_the_host_goes_on(tmp_path: Path, define: str) -> None:
    assert (
        await fault_of(tmp_path, f"{define} f(inputs): raise SystemExit(3)")
    ).message == 'agent "a" raised SystemExit'


@BOTH
async def test_an_exception_without_a_usable_text_is_still_told(tmp_path: Path, define: str) -> None:
    source = (
        "from runner.agents import AgentError\n"
        "class Mute(AgentError):\n    def __str__(self): raise RuntimeError\n"
        f"{define} f(inputs): raise Mute()"
    )

    assert (await fault_of(tmp_path, source)).message == 'agent "a" failed'


@BOTH
async def test_a_detail_is_the_bounded_end_of_a_traceback(tmp_path: Path, define: str) -> None:
    fault = await fault_of(tmp_path, f"{define} f(inputs): raise ValueError('start' + 'x' * 50_000 + 'end')")

    assert len(fault.detail) <= 4096
    assert fault.detail.endswith("end")


async def test_a_cancellation_that_the_agent_makes_itself_is_its_failure(tmp_path: Path) -> None:
    fault = await fault_of(tmp_path, "import asyncio\nasync def f(inputs): raise asyncio.CancelledError")

    assert fault.message == 'agent "a" raised CancelledError'


@BOTH
async def test_a_parameter_named_call_gets_the_facts_of_the_attempt(tmp_path: Path, define: str) -> None:
    source = f"{define} f(inputs, call): return [call.deadline, call.idempotency_key, call.attempt, call.spawn]"
    (tmp_path / "m.py").write_text(source)
    agent = build_agent(entry("python", {"call": "m:f"}), Setting(folder=tmp_path, clock=HeldClock(1000.0)))

    assert await agent.run(call(timeout=30)) == [1030.0, "run-1:7:2", 2, 7]
    await agent.close()


# --- workers ---------------------------------------------------------------------------------

PID = "import os, threading\ndef f(inputs): return os.getpid()"


async def test_a_worker_is_used_again(tmp_path: Path) -> None:
    agent = python_agent(tmp_path, PID)

    assert len({await agent.run(call()) for _ in range(5)}) == 1
    await agent.close()


async def test_no_more_workers_live_than_the_policy_says(tmp_path: Path) -> None:
    agent = python_agent(
        tmp_path, "import os, time\ndef f(inputs):\n    time.sleep(0.01); return os.getpid()", parallel=2
    )
    pids = await asyncio.gather(*(agent.run(call()) for _ in range(12)))

    assert 1 <= len(set(pids)) <= 2
    assert os.getpid() not in pids
    await agent.close()


async def test_calls_that_compute_get_no_more_workers_than_processors_can_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.agents.workers.PROCESSORS", 1)
    burn = """
import os, time
def f(inputs):
    end = time.monotonic() + inputs
    while time.monotonic() < end: pass
    return os.getpid()
"""
    agent = python_agent(tmp_path, burn, parallel=20)
    pids = await asyncio.gather(*(agent.run(call(0.02)) for _ in range(20)))

    assert len(set(pids)) <= 4
    await agent.close()


async def test_calls_that_wait_get_a_worker_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.agents.workers.PROCESSORS", 1)
    meet = """
import os, time
def f(folder):
    open(f"{folder}/{os.getpid()}.here", "w").close()
    while len([name for name in os.listdir(folder) if name.endswith(".here")]) < 4: time.sleep(0.005)
    return os.getpid()
"""
    agent = python_agent(tmp_path, meet, parallel=4)
    pids = await asyncio.gather(*(agent.run(call(str(tmp_path))) for _ in range(4)))

    assert len(set(pids)) == 4
    await agent.close()


async def test_an_idle_worker_is_ended_after_a_while(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(PID)
    clock = HeldClock()
    agent = build_agent(entry("python", {"call": "m:f"}), Setting(folder=tmp_path, clock=clock))
    pid = await agent.run(call())
    clock.advance(9)
    assert lives(pid)
    clock.advance(2)

    assert await all_gone([pid])
    assert await agent.run(call()) != pid
    await agent.close()


async def test_what_a_function_prints_does_not_disturb_its_answer(tmp_path: Path) -> None:
    source = (
        "import os, subprocess, sys\n"
        "def f(inputs):\n"
        "    print('a'); os.write(1, b'\\0\\0\\0\\1o1'); subprocess.run(['echo', 'b'])\n"
        "    sys.stdin.read(); sys.stdout.write('c' * 300_000); return inputs"
    )
    agent = python_agent(tmp_path, source)

    assert [await agent.run(call(n)) for n in range(3)] == [0, 1, 2]
    await agent.close()


async def test_a_worker_that_dies_fails_its_call_with_its_last_words_in_the_journal(tmp_path: Path) -> None:
    agent = python_agent(
        tmp_path, "import os\ndef f(inputs):\n    if inputs: print('last words'); os._exit(7)\n    return 1"
    )
    with pytest.raises(AgentFault) as raised:
        await agent.run(call("die"))

    assert (raised.value.kind, raised.value.message) == ("failed", 'agent "a" ended without an answer')
    assert raised.value.lost
    assert raised.value.detail == "its worker exited with status 7\nlast words"
    assert await agent.run(call()) == 1
    await agent.close()


async def test_a_worker_that_dies_before_its_call_has_done_nothing(tmp_path: Path) -> None:
    fault = await fault_of(
        tmp_path, f"import os\nif os.getpid() != {os.getpid()}: os._exit(7)\ndef f(inputs): return 1"
    )

    assert (fault.message, fault.lost) == ('agent "a" could not be started', False)
    assert fault.detail == "its worker exited with status 7"


@BOTH
async def test_a_function_that_raises_has_failed_and_is_not_lost(tmp_path: Path, define: str) -> None:
    assert not (await fault_of(tmp_path, f"{define} f(inputs): raise SystemExit(1)")).lost


async def test_a_worker_that_died_between_two_calls_is_replaced(tmp_path: Path) -> None:
    agent = python_agent(tmp_path, PID)
    first = await agent.run(call())
    os.kill(first, 9)
    assert await all_gone([first])
    while agent._workers._idle and agent._workers._idle[0].end is None:  # type: ignore[attr-defined]
        await asyncio.sleep(0.001)

    assert await agent.run(call()) != first
    await agent.close()


async def test_a_cancelled_call_that_waits_for_a_worker_leaves_the_worker_to_the_next(tmp_path: Path) -> None:
    source = "def f(inputs):\n    if inputs: open(inputs[0], 'w').write('\\n'); open(inputs[1]).read()\n    return 1"
    os.mkfifo(tmp_path / "gate")
    agent = python_agent(tmp_path, source, parallel=1)
    first = asyncio.ensure_future(agent.run(call([str(tmp_path / "began"), str(tmp_path / "gate")])))
    await written(tmp_path / "began")
    waiting, last = (asyncio.ensure_future(agent.run(call())) for _ in range(2))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.to_thread((tmp_path / "gate").write_text, "go")

    assert [await first, await last] == [1, 1]
    assert waiting.cancelled()
    await agent.close()


async def test_a_function_that_ignores_signals_is_killed_with_what_it_daemonised(tmp_path: Path) -> None:
    source = """
import os, signal, time
def f(inputs):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: os.write(writer, str(os.getpid()).encode()); time.sleep(600)
        os._exit(0)
    daemon = os.read(reader, 20).decode()
    open(inputs, "w").write(f"{os.getpid()} {daemon}\\n")
    while True: pass
"""
    agent = python_agent(tmp_path, source)
    attempt = asyncio.ensure_future(agent.run(call(str(tmp_path / "pids"))))
    pids = [int(pid) for pid in (await written(tmp_path / "pids")).split()]
    attempt.cancel()

    assert await all_gone(pids)
    await agent.close()


async def test_a_worker_gets_six_names_of_the_environment_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "hunter2")
    agent = python_agent(tmp_path, "import os\ndef f(inputs): return [sorted(os.environ), os.getcwd()]")
    names, folder = await agent.run(call())

    assert set(names) <= {"PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL"}
    assert folder == str(tmp_path)
    await agent.close()


async def test_a_module_that_imports_in_the_host_alone_fails_the_attempt_with_the_cause(tmp_path: Path) -> None:
    source = f"import os\nassert os.getpid() == {os.getpid()}, 'not here'\ndef f(inputs): return 1"
    fault = await fault_of(tmp_path, source)

    assert fault.message == 'agent "a" could not be started'
    assert "not here" in fault.detail


# Code of an agent that finds where its worker's frames go, and writes there in the worker's place.
FORGE = """
import json, os, stat
def forge(kind, payload):
    pipes = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]
    for fd in pipes:
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.write(fd, len(payload).to_bytes(4, "big") + kind + payload)
        except OSError:
            pass
"""


@pytest.mark.parametrize("payload", [b"{", b"[]", b"\xff", b'{"trace": 5}', b"{}"])
async def test_a_module_that_answers_in_its_workers_place_fails_the_attempt_and_holds_no_slot(tmp_path: Path, payload: bytes) -> None:
    source = f"{FORGE}\nif os.getpid() != {os.getpid()}: forge(b'e', {payload!r})\ndef f(inputs): return 1"
    agent = python_agent(tmp_path, source, parallel=1)
    # With one slot, the second would wait for ever for what the first one lost.
    for _ in range(2):
        with pytest.raises(AgentFault) as raised:
            await asyncio.wait_for(agent.run(call()), 60)

        assert (raised.value.message, raised.value.lost) == ('agent "a" could not be started', False)
        assert raised.value.detail == "its worker sent what is no reply"
    await agent.close()


@pytest.mark.parametrize(("kind", "payload"), [(b"e", b""), (b"r", b"{}"), (b"?", b"12345678{}"), (b"o", b"123")])
async def test_a_function_that_answers_with_what_is_no_reply_is_lost_and_its_worker_replaced(tmp_path: Path, kind: bytes, payload: bytes) -> None:
    source = f"{FORGE}\ndef f(inputs):\n    if inputs: forge({kind!r}, {payload!r})\n    return 1"
    agent = python_agent(tmp_path, source, parallel=1)
    with pytest.raises(AgentFault) as raised:
        await asyncio.wait_for(agent.run(call(True)), 60)

    assert (raised.value.message, raised.value.lost) == ('agent "a" ended without an answer', True)
    assert await asyncio.wait_for(agent.run(call(False)), 60) == 1
    await agent.close()


@pytest.mark.parametrize(("kind", "told"), [(b"e", "failed"), (b"j", "invalid_output"), (b"l", "invalid_output")])
@pytest.mark.parametrize("payload", [b"[]", b'{"type": 5, "why": [], "trace": {}}'])
async def test_a_reply_of_any_shape_is_a_fault(tmp_path: Path, kind: bytes, told: str, payload: bytes) -> None:
    fault = await fault_of(tmp_path, f"{FORGE}\ndef f(inputs): forge({kind!r}, bytes(8) + {payload!r})")

    assert fault.kind == told


async def test_a_token_that_a_reply_hides_behind_escapes_is_refused(tmp_path: Path) -> None:
    credential = HandCredential(crm="the-token-of-crm")
    hidden = "b'\"' + b''.join(b'\\\\u%04x' % byte for byte in call.tokens['crm'].encode()) + b'\"'"
    agent = python_agent(tmp_path, f"{FORGE}\ndef f(inputs, call): forge(b'o', bytes(8) + {hidden})")
    with pytest.raises(AgentFault) as raised:
        await agent.run(call(credential=credential))

    assert raised.value.message == 'agent "a" returned a credential that it was handed'
    await agent.close()
    await credential.close()


@pytest.mark.parametrize("value", ["{1, 2}", "float('nan')", "object()", "f", "'\\ud800'", "[[]] * 2 and deep(70)"])
async def test_a_sync_function_returns_exact_json_or_nothing(tmp_path: Path, value: str) -> None:
    source = f"def deep(n): return [deep(n - 1)] if n else 1\ndef f(inputs): return {value}"

    assert (await fault_of(tmp_path, source)).kind == "invalid_output"


# --- what an agent may use -------------------------------------------------------------------

GET = """
def f(inputs, call):
    answers = [call.http.get("http://crm/customers/42?full=1"), call.http.post("https://crm.example:8443/x", content=b"y")]
    return [answer.json() for answer in answers] + [str(answer.request.url) for answer in answers]
"""
GET_ASYNC = """
async def f(inputs, call):
    answers = [await call.http.get("http://crm/customers/42?full=1"), await call.http.post("https://crm.example:8443/x", content=b"y")]
    return [answer.json() for answer in answers] + [str(answer.request.url) for answer in answers]
"""
ASKED = [
    {"asked": "GET http://crm/customers/42?full=1", "body": ""},
    {"asked": "POST https://crm.example:8443/x", "body": "y"},
    "http://crm/customers/42?full=1",
    "https://crm.example:8443/x",
]


@pytest.fixture
async def credential() -> AsyncIterator[HandCredential]:
    credential = HandCredential()
    yield credential
    await credential.close()


@pytest.mark.parametrize(("source", "doors"), [(GET, 1), (GET_ASYNC, 0)], ids=["def", "async def"])
async def test_call_http_reaches_resources_by_name_and_by_url(
    tmp_path: Path, credential: HandCredential, source: str, doors: int
) -> None:
    agent = python_agent(tmp_path, source)

    assert await agent.run(call(credential=credential)) == ASKED
    assert (len(credential.doors), credential.observed) == (doors, ["gateway only"])
    assert "runner-key" not in {name.lower() for request in credential.requests for name, _ in request.headers}
    await agent.close()


async def test_each_call_of_a_worker_has_a_door_of_its_own(tmp_path: Path) -> None:
    source = "import os\nKEPT = []\ndef f(inputs, call):\n    KEPT.append(call.http)\n    try: return KEPT[0].get('http://crm/').json()['asked']\n    except Exception as error: return type(error).__name__"
    first, second = HandCredential(), HandCredential()
    agent = python_agent(tmp_path, source, parallel=1)
    outputs = []
    for credential in (first, second):
        outputs.append(await agent.run(call(credential=credential)))
        await credential.close()

    assert outputs == ["GET http://crm/", "RuntimeError"]
    assert [len(credential.requests) for credential in (first, second)] == [1, 0]
    assert first.doors[0].door.key != second.doors[0].door.key
    await agent.close()


@BOTH
async def test_without_a_scope_of_a_resource_call_http_says_so(tmp_path: Path, define: str) -> None:
    source = f"{define} f(inputs, call):\n    assert call.tokens == {{}}\n    try: call.http\n    except RuntimeError as error: return str(error)"
    agent = python_agent(tmp_path, source)

    assert await agent.run(call()) == "this spawn asked for no scope of a resource"
    await agent.close()


@BOTH
async def test_a_function_without_call_gets_no_access(tmp_path: Path, credential: HandCredential, define: str) -> None:
    agent = python_agent(tmp_path, f"{define} f(inputs): return 1")

    assert await agent.run(call(credential=credential)) == 1
    assert (credential.doors, credential.observed) == ([], ["gateway only"])
    await agent.close()


@BOTH
async def test_the_tokens_themselves_are_there_where_the_credential_has_them(tmp_path: Path, define: str) -> None:
    credential = HandCredential(crm="the-token-of-crm")
    agent = python_agent(tmp_path, f"{define} f(inputs, call): return [len(call.tokens['crm']), list(call.tokens)]")

    assert await agent.run(call(credential=credential)) == [16, ["crm"]]
    assert credential.observed == ["none"]
    await agent.close()
    await credential.close()


@BOTH
@pytest.mark.parametrize("change", ["call.spawn = 1", "call.tokens['crm'] = 'x'", "call.http = 1", "del call.attempt"])
async def test_the_facts_cannot_be_changed_and_their_repr_shows_no_credential(
    tmp_path: Path, define: str, change: str
) -> None:
    credential = HandCredential(crm="the-token-of-crm")
    source = f"{define} f(inputs, call):\n    try: {change}\n    except (AttributeError, TypeError): return repr(call)"
    agent = python_agent(tmp_path, source)
    shown = await agent.run(call(credential=credential))

    assert shown.startswith("CallFacts(deadline=") and shown.endswith("attempt=2, spawn=7)")
    await agent.close()
    await credential.close()


@BOTH
@pytest.mark.parametrize("show", ["return [call.tokens['crm']]", "return base64.b64encode(call.tokens['crm'].encode()).decode()",
                                  "return {'a' + call.tokens['crm']: 1}"])  # fmt: skip
async def test_an_output_that_repeats_a_token_is_refused(tmp_path: Path, define: str, show: str) -> None:
    credential = HandCredential(crm="the-token-of-crm")
    agent = python_agent(tmp_path, f"import base64\n{define} f(inputs, call): {show}")
    with pytest.raises(AgentFault) as raised:
        await agent.run(call(credential=credential))

    assert (raised.value.kind, raised.value.message) == ("invalid_output", 'agent "a" returned a credential that it was handed')
    assert "the-token" not in raised.value.detail
    await agent.close()
    await credential.close()


@BOTH
async def test_a_token_is_cut_out_of_what_a_failure_tells(tmp_path: Path, define: str) -> None:
    credential = HandCredential(crm="the-token-of-crm")
    source = f"from runner.agents import AgentError\n{define} f(inputs, call): raise AgentError('with ' + call.tokens['crm'])"
    agent = python_agent(tmp_path, source)
    with pytest.raises(AgentFault) as raised:
        await agent.run(call(credential=credential))

    assert raised.value.message == "with [redacted]"
    assert "the-token" not in raised.value.detail and "AgentError" in raised.value.detail
    await agent.close()
    await credential.close()


async def test_the_key_of_a_door_is_cut_out_of_a_workers_last_words(tmp_path: Path, credential: HandCredential) -> None:
    source = "import os\ndef f(inputs, call):\n    print(call._access._key + '.'); os._exit(7)"
    agent = python_agent(tmp_path, source)
    with pytest.raises(AgentFault) as raised:
        await agent.run(call(credential=credential))

    assert raised.value.detail == "its worker exited with status 7\n[redacted]."
    await agent.close()


async def test_a_worker_whose_door_cannot_be_opened_serves_the_next_call(tmp_path: Path, credential: HandCredential) -> None:
    class Shut(HandCredential):
        async def door(self, **more: Any) -> Any:
            raise OSError(24, "Too many open files")

    agent = python_agent(tmp_path, "import os\ndef f(inputs, call): return os.getpid()")
    first = await agent.run(call(credential=credential))
    with pytest.raises(AgentFault) as raised:
        await agent.run(call(credential=Shut()))

    assert raised.value.message == 'agent "a" could not be started'
    assert raised.value.detail == "its door to the gateway could not be opened: Too many open files"
    assert await agent.run(call(credential=credential)) == first
    await agent.close()


async def test_what_a_worker_starts_reaches_the_gateway_and_nobody_else_does(
    tmp_path: Path, credential: HandCredential
) -> None:
    source = """
import subprocess, sys
CONNECT = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'GET'); s.settimeout(0.2)\\n" \\
          "try: print(s.recv(1))\\nexcept Exception as error: print(type(error).__name__)"
def f(inputs, call):
    return subprocess.run([sys.executable, "-S", "-c", CONNECT, call._access._path], capture_output=True, text=True).stdout.strip()
"""
    agent = python_agent(tmp_path, source)
    inside = await agent.run(call(credential=credential))
    outside = await asyncio.to_thread(_refusal, credential.doors[0].door.path)

    assert inside == "TimeoutError"
    assert outside
    await agent.close()


def _refusal(path: str) -> bool:
    """True when this process is hung up on."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(path)
        peer.settimeout(60)
        try:
            return peer.recv(1) == b""
        except ConnectionError:
            return True


# --- where modules come from -----------------------------------------------------------------


@BOTH
async def test_modules_of_the_same_name_in_two_policies_do_not_mix(tmp_path: Path, define: str) -> None:
    agents = []
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "parts").mkdir(parents=True)
        (folder / "parts" / "__init__.py").write_text("")
        (folder / "parts" / "deep.py").write_text(f"NAME = {name!r}")
        (folder / "beside.py").write_text(f"NAME = {name!r}")
        (folder / "agents.py").write_text(
            f"import beside\nimport parts.deep\n{define} f(inputs):\n"
            "    from parts import deep\n    import beside as late\n"
            "    return [beside.NAME, parts.deep.NAME, deep.NAME, late.NAME]"
        )
        agents.append(build_agent(entry("python", {"call": "agents:f"}), Setting(folder=folder)))

    assert [await agent.run(call()) for agent in agents] == [["one"] * 4, ["two"] * 4]
    assert not {"agents", "beside", "parts"} & sys.modules.keys()
    for agent in agents:
        await agent.close()


@BOTH
async def test_packages_relative_imports_and_attributes_work(tmp_path: Path, define: str) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("from .words import WORD")
    (tmp_path / "pack" / "words.py").write_text("WORD = 'hello'")
    (tmp_path / "pack" / "say.py").write_text(
        f"from . import WORD\nclass Say:\n    @staticmethod\n    {define} it(inputs): return WORD"
    )
    agent = build_agent(entry("python", {"call": "pack.say:Say.it"}), Setting(folder=tmp_path))

    assert await agent.run(call()) == "hello"
    await agent.close()


async def test_a_policys_module_does_not_hide_one_of_the_standard_library_from_others(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("dumps = 'mine'")
    agent = python_agent(tmp_path, "import json, logging.config\nasync def f(inputs): return json.dumps")

    assert await agent.run(call()) == "mine"
    assert sys.modules["json"].dumps({}) == "{}"


async def test_a_function_of_an_installed_package_can_be_an_agent(tmp_path: Path) -> None:
    agent = build_agent(entry("python", {"call": "json:dumps"}), Setting(folder=tmp_path))

    assert await agent.run(call({"a": 1})) == '{"a": 1}'
    await agent.close()


@pytest.mark.parametrize(
    ("module", "function", "message"),
    [
        ("x = (", "m:f", 'agent "a" calls "m:f", which cannot be imported: SyntaxError'),
        ("raise SystemExit", "m:f", 'agent "a" calls "m:f", which cannot be imported: SystemExit'),
        ("import nowhere_to_be_found", "m:f", "No module named 'nowhere_to_be_found'"),
        ("", "m:f", "has no attribute 'f'"),
        ("f = 1", "m:f", '"m:f" is a int and cannot be called'),
        ("", "other:f", "No module named 'other'"),
        ("", "m", '"m" is not "module:function"'),
        ("def f(): pass", "m:f", 'agent "a" calls "m:f", which takes ()'),
        ("def f(inputs, more): pass", "m:f", 'agent "a" calls "m:f", which takes (inputs, more)'),
    ],
)
def test_a_function_that_is_not_there_is_an_error_of_the_policy(
    tmp_path: Path, module: str, function: str, message: str
) -> None:
    (tmp_path / "m.py").write_text(module)
    with pytest.raises(PolicyError) as raised:
        build_agent(entry("python", {"call": function}), Setting(folder=tmp_path))

    assert message in raised.value.message
    assert raised.value.hint


def test_an_async_function_is_refused_where_the_policy_wants_a_process(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("async def f(inputs): return 1\ndef g(inputs): return 1")
    with pytest.raises(PolicyError) as raised:
        build_agent(entry("python", {"call": "m:f"}, isolation="process"), Setting(folder=tmp_path))

    assert raised.value.message == (
        'agent "a" has isolation "process" and calls "m:f", an async def, which runs in the host\'s process'
    )
    assert build_agent(entry("python", {"call": "m:g"}, isolation="process"), Setting(folder=tmp_path))


def test_a_backend_that_does_not_exist_is_an_error_of_the_policy(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match='agent "a" has backend "smoke"; known are python, command, http, '):
        build_agent(entry("smoke", {}), Setting(folder=tmp_path))


# --- the page --------------------------------------------------------------------------------


async def test_the_agents_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
    for name, source in re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(source)
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    policy = load_policy_text(text, folder=tmp_path, name="page")
    agents = {name: build_agent(entry, Setting(folder=tmp_path)) for name, entry in policy.agents.items()}
    found = await agents["look_up"].run(call({"name": "Acme"}))

    assert await agents["measure"].run(call({"text": "a b c"})) == {"words": 3}
    assert await agents["shout"].run(call({"text": "hello"})) == {"text": "HELLO!"}
    assert OutputSchema(policy.agents["look_up"].output_schema).prune(found).value == {"name": "Acme", "founded": 1949}
    with pytest.raises(AgentFault, match="no vendor is called Nobody"):
        await agents["look_up"].run(call({"name": "Nobody"}))
    for agent in agents.values():
        await agent.close()


async def test_the_agents_of_the_page_that_use_a_resource_do_what_it_says(tmp_path: Path, credential: HandCredential) -> None:
    page = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
    for name, source in re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(source)
    asked = []
    for backend, options in (
        ("python", {"call": "crm:look_up"}), ("python", {"call": "crm:note"}),
        ("command", {"argv": ["python3", "./crm_by_hand.py"], "env": {}}),
    ):  # fmt: skip
        agent = build_agent(entry(backend, options), Setting(folder=tmp_path))
        asked.append((await agent.run(call({"customer": 42, "text": "x"}, credential=credential)))["asked"])
        await agent.close()

    assert asked == [
        "GET http://crm/customers/42", "POST https://crm.example/customers/42/notes", "GET http://crm/customers/42"
    ]  # fmt: skip


SPINS = """
import time
def f(inputs):
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    return {}
"""


async def test_a_sync_agent_tells_how_long_it_took_without_standing_in_line(tmp_path: Path) -> None:
    agent = python_agent(tmp_path, SPINS)
    calls = [call() for _ in range(8)]
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await asyncio.gather(*(agent.run(one) for one in calls))
    together = loop.time() - begun
    await agent.close()
    alone = [one.seconds_alone or 0.0 for one in calls]

    assert min(alone) >= 0.09
    # Eight at once on a few processors each last far longer than they would alone.
    assert sum(alone) < together * 8 * 0.9
