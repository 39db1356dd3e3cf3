"""Say what this machine can run, subject by subject, each with what would mend it.

Nothing is assumed: each sandbox is proved by starting a guest in it, verifying its lock from outside and
running a script. A Python minor or processor that was not tested is refused, not guessed at.

Not here: what a policy needs (policy), mending anything, printing (cli.machine).
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.doctor.diagnosis import Diagnosis, Level
from runner.errors import RunnerError
from runner.events import Event, EventKind
from runner.guest import lock
from runner.models import MIB, Limits, RunState, Script, digest_of

if TYPE_CHECKING:
    from runner.sandbox.engine_api import Engine

TESTED_PYTHONS = lock.PYTHONS
TESTED_MACHINES = tuple(name for name, known in lock.ARCHITECTURES.items() if known.executed)
# A journal of a run of ten thousand spawns is about 10 MB.
FREE_BYTES_WANTED = 200 * MIB
FREE_BYTES_NEEDED = 20 * MIB
# The self-test runs no agent; a cold container on a busy machine takes seconds.
SELF_TEST_SECONDS = 60.0
# Container escapes by racing mounts and /proc writes, published in November 2025, fixed in these versions.
RUNC_CVES = "CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881"
RUNC_FIXED = ((1, 2, 8), (1, 3, 3), (1, 4, 0))


async def examine(home: Path) -> list[Diagnosis]:
    """Return every diagnosis of this machine. Starts one guest in each sandbox and ends it. Raises nothing."""
    found = [
        python(sys.version_info[:2], platform.python_version()),
        machine(platform.machine()),
        kernel(platform.release(), read_text("/proc/sys/kernel/seccomp/actions_avail")),
        user_namespaces(read_text("/proc/sys/user/max_user_namespaces")),
        cgroups(Path("/sys/fs/cgroup"), read_text("/proc/self/cgroup")),
        store(home),
        *frozen(home),
    ]
    found += await engine()
    found.append(await self_test("process"))
    if any(diagnosis.subject == "docker engine" and diagnosis.level is not Level.FAILED for diagnosis in found):
        found.append(await self_test("docker"))
    return found


def can_run(found: Iterable[Diagnosis]) -> bool:
    """Say whether a run could work here: nothing all runs need failed, and one sandbox was proved."""
    by_subject = {diagnosis.subject: diagnosis.level for diagnosis in found}
    needed = ("python", "processor", "kernel", "store")
    proved = [by_subject.get(f"sandbox {kind}") for kind in ("docker", "process")]
    held = all(by_subject.get(subject) is not Level.FAILED for subject in needed)
    return held and any(level is not None and level is not Level.FAILED for level in proved)


# --- the interpreter and the machine ----------------------------------------------------------


def python(minor: tuple[int, ...], version: str) -> Diagnosis:
    if tuple(minor) in TESTED_PYTHONS:
        return Diagnosis("python", Level.OK, version)
    tested = ", ".join(f"{major}.{number}" for major, number in TESTED_PYTHONS)
    fix = f"run it with one of Python {tested}"
    return Diagnosis("python", Level.FAILED, f"{version} was not tested: the dialect's guards depend on it", fix)


def machine(name: str) -> Diagnosis:
    if name in TESTED_MACHINES:
        return Diagnosis("processor", Level.OK, name)
    fact = f"{name} is unverified: the lock's system call numbers were never executed on it"
    return Diagnosis("processor", Level.FAILED, fact, f"run it on {', '.join(TESTED_MACHINES)}")


def kernel(release: str, actions: str) -> Diagnosis:
    """`actions` is the content of /proc/sys/kernel/seccomp/actions_avail, "" where there is none."""
    if "kill_process" in actions.split():
        return Diagnosis("kernel", Level.OK, f"Linux {release}, seccomp can kill a process")
    fact = f"{platform.system()} {release} offers no seccomp filter that kills a process"
    return Diagnosis("kernel", Level.FAILED, fact, "use Linux 4.14 or later, built with CONFIG_SECCOMP_FILTER")


def user_namespaces(most: str) -> Diagnosis:
    if most.strip().isdecimal() and int(most) > 0:
        return Diagnosis("user namespaces", Level.OK, f"at most {int(most):,}")
    return Diagnosis("user namespaces", Level.OK, "none; no sandbox here needs them")


def cgroups(root: Path, own: str) -> Diagnosis:
    """`own` is the content of /proc/self/cgroup. Delegated means that this user may make groups below its own."""
    if not (root / "cgroup.controllers").exists():
        kind = "version 1 or hybrid" if own else "none"
        fact = f"{kind}: the process sandbox holds memory and CPU by rlimits alone"
        return Diagnosis("cgroups", Level.WARNING, fact, "the docker sandbox uses the engine's own")
    folder = root / own.strip().rpartition("::/")[2]
    if os.access(folder, os.W_OK) and os.access(folder / "cgroup.subtree_control", os.W_OK):
        return Diagnosis("cgroups", Level.OK, "version 2, delegated to this user")
    return Diagnosis("cgroups", Level.OK, "version 2, not delegated; the process sandbox holds by rlimits alone")


def frozen(home: Path) -> list[Diagnosis]:
    """Return a warning where the host is frozen, else nothing: that no spawn begins has a reason."""
    from runner.journal.freeze import file_of, is_frozen, why_frozen

    if not home.exists() or not is_frozen(file_of(home)):
        return []
    why = why_frozen(home)
    fact = f"by {why.get('by') or 'somebody'}: {why.get('reason') or 'no reason was given'}"
    return [Diagnosis("frozen", Level.WARNING, f"no spawn and no token begins; {fact}", "runner unfreeze")]


def store(home: Path) -> Diagnosis:
    """Look at the store's folder: it must be this user's alone, writable, with room for journals."""
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(existing, os.W_OK):
        return Diagnosis("store", Level.FAILED, f"{home} cannot be written", "set RUNNER_HOME to a folder of yours")
    free = shutil.disk_usage(existing).free
    if free < FREE_BYTES_NEEDED:
        return Diagnosis("store", Level.FAILED, f"{home} has {free // MIB} MiB free", "free some disk space")
    mode = stat.S_IMODE(existing.stat().st_mode) if existing == home else 0o700
    if mode & 0o077:
        fact = f"{home} has mode {mode:04o}: others can read what agents returned"
        return Diagnosis("store", Level.WARNING, fact, f"chmod 700 {home}")
    if free < FREE_BYTES_WANTED:
        return Diagnosis("store", Level.WARNING, f"{home} has {free // MIB} MiB free", "free some disk space")
    return Diagnosis("store", Level.OK, f"{home}, {free // MIB:,} MiB free")


def read_text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


# --- the engine -------------------------------------------------------------------------------


async def engine() -> list[Diagnosis]:
    """Ask the engine for its versions and for our image. One that refuses is told apart from none."""
    from runner.sandbox.engine_api import Engine, NoEngine

    try:
        found = await Engine.find()
    except NoEngine as absent:
        fact = f"{absent.message}; the process sandbox is weaker"
        return [Diagnosis("docker engine", Level.WARNING, "none: " + fact, absent.hint)]
    except RunnerError as refusal:
        return [Diagnosis("docker engine", Level.FAILED, refusal.message, refusal.hint)]
    try:
        version = (await found.call("GET", "/version")).json()
        return [engine_version(version), runc_version(component(version, "runc")), await image(found)]
    except RunnerError as refusal:
        return [Diagnosis("docker engine", Level.FAILED, refusal.message, refusal.hint)]
    finally:
        found.close()


def engine_version(version: dict[str, Any]) -> Diagnosis:
    containerd = component(version, "containerd")
    fact = f"{version.get('Version', 'unknown')}, API {version.get('ApiVersion', 'unknown')}, containerd {containerd}"
    return Diagnosis("docker engine", Level.OK, fact)


def component(version: dict[str, Any], name: str) -> str:
    """Return the version of a part of the engine, "unknown" when it does not tell."""
    parts = version.get("Components") or []
    return next((str(part.get("Version")) for part in parts if part.get("Name") == name), "unknown")


def runc_version(version: str) -> Diagnosis:
    """Warn of a runc with known escapes. They need a mount, an image of the attacker's or an exec: we do none."""
    number = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    if number is None:
        return Diagnosis("container runtime", Level.WARNING, f"runc {version}", "look up whether it is up to date")
    found = tuple(map(int, number.groups()))
    fixed = next((fix for fix in RUNC_FIXED if fix[:2] == found[:2]), RUNC_FIXED[0])
    if found >= fixed:
        return Diagnosis("container runtime", Level.OK, f"runc {version}")
    fact = f"runc {version} has {RUNC_CVES}; no mounts, an image by digest and no exec take away what they need"
    return Diagnosis("container runtime", Level.WARNING, fact, "update runc to 1.2.8, 1.3.3 or later")


async def image(engine: Engine) -> Diagnosis:
    from runner.sandbox.image import find_image, image_tag

    found = await find_image(engine, image_tag())
    if found is None:
        return Diagnosis("sandbox image", Level.WARNING, "not built; the first run builds it", "runner image build")
    fact = f"{found.tag}, {found.id}, Python {found.python}, {found.size / MIB:.1f} MiB"
    return Diagnosis("sandbox image", Level.OK, fact)


# --- proof ------------------------------------------------------------------------------------


async def self_test(kind: str) -> Diagnosis:
    """Run a script in this sandbox, in a store of its own, and say what held it."""
    subject = f"sandbox {kind}"
    facts: dict[str, Any] = {}

    def see(event: Event) -> None:
        if event.kind is EventKind.SANDBOX_STARTED:
            facts.update(event.body)

    try:
        with tempfile.TemporaryDirectory(prefix="runner-doctor-") as home:
            async with asyncio.timeout(SELF_TEST_SECONDS):
                error = await _trivial_run(kind, Path(home), see)
    except TimeoutError:
        return Diagnosis(subject, Level.FAILED, f"no result within {SELF_TEST_SECONDS:.0f} s", "runner doctor again")
    except RunnerError as refusal:
        return Diagnosis(subject, Level.FAILED, refusal.message, refusal.hint)
    if error:
        return Diagnosis(subject, Level.FAILED, *error)
    held = f"ran a script, lock {facts['lock']}; held by {', '.join(facts['hardening'])}"
    if facts["missing"]:
        return Diagnosis(subject, Level.WARNING, f"{held}; missing: {'; '.join(facts['missing'])}")
    return Diagnosis(subject, Level.OK, held)


async def _trivial_run(kind: str, home: Path, see: Any) -> tuple[str, str] | None:
    """Return what went wrong and its fix, or None when the script ran and said what it had to."""
    from runner.engine import Runner
    from runner.policy.model import Policy, SandboxRule

    policy = Policy(
        name="doctor", agents={}, limits=Limits(wall_seconds=SELF_TEST_SECONDS, spawns=1),
        sandbox=SandboxRule(demand=kind), imports=None, folder=home, resolved="{}", digest=digest_of("{}"),
    )  # fmt: skip
    async with Runner(home=home, sandbox=kind) as runner:
        ended = await runner.run(Script("doctor", b"result = sum(range(10))"), policy=policy, on_event=see)
    if ended.state is RunState.DONE and ended.result == 45:
        return None
    if ended.error is not None:
        return ended.error.message, ended.error.hint
    return f"the script ended as {ended.state} with {ended.result!r}", "this is a defect of runner"
