"""What a guest's container may be and have: every option in one place, nothing else is ever set.

No network, no mounts, no capabilities, no devices, no terminal, no log, a read-only root, a foreign user,
and bounds on memory, processes, files and CPU share. A container is made from an image's digest, starts
one program, and is never entered again.

Not here: asking the engine for it (docker).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.models import MIB, Limits
from runner.sandbox.bundle import GUEST_ENVIRONMENT
from runner.sandbox.profile import profile_text

STORE_LABEL = "runner.store"
HOST_LABEL = "runner.host"
BOOT_LABEL = "runner.boot"

GUEST_UID = 65534
# One is used. runc's own threads count while it starts the guest.
PIDS_LIMIT = 16
# The guest limits its own address space to the run's memory and hears of its end itself (MemoryError, then a
# clear word). What the kernel holds for it comes on top, so that it does not end the guest before.
KERNEL_MARGIN_BYTES = 16 * MIB

HARDENING = (
    "docker", "docker-seccomp", "no-network", "read-only-root", "no-capabilities", "no-new-privileges", "uid-65534",
    "cgroup-limits", "rlimits",
)  # fmt: skip


def container_config(
    *, image: str, command: Sequence[str], limits: Limits, labels: dict[str, str], runtime: str = ""
) -> dict[str, Any]:
    """Return the body of a create request. `image` is a digest; the engine is never asked to pull.

    The guest is told its memory in bytes as the last word of its command line.
    """
    return {
        "Image": image,
        "Entrypoint": [],
        "Cmd": [*command, str(limits.memory_bytes)],
        "User": f"{GUEST_UID}:{GUEST_UID}",
        "WorkingDir": "/",
        "Hostname": "sandbox",
        "Env": [f"{name}={value}" for name, value in sorted(GUEST_ENVIRONMENT.items())],
        "Labels": labels,
        "Healthcheck": {"Test": ["NONE"]},
        "NetworkDisabled": True,
        "Tty": False,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": _host_config(limits, runtime),
    }


def _host_config(limits: Limits, runtime: str) -> dict[str, Any]:
    memory = limits.memory_bytes + KERNEL_MARGIN_BYTES
    return {
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={profile_text()}"],
        "PidsLimit": PIDS_LIMIT,
        "Memory": memory,
        # Equal to the memory: no swap.
        "MemorySwap": memory,
        "NanoCpus": 1_000_000_000,
        "Ulimits": [_ulimit("nofile", 16), _ulimit("core", 0), _ulimit("fsize", 0)],
        "IpcMode": "none",
        "CgroupnsMode": "private",
        "OomScoreAdj": 1000,
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": False,
        **({"Runtime": runtime} if runtime else {}),
    }


def _ulimit(name: str, value: int) -> dict[str, Any]:
    return {"Name": name, "Soft": value, "Hard": value}


def labels_of(store: str, host: str) -> dict[str, str]:
    """Return the labels by which a later process knows whose a container was."""
    return {STORE_LABEL: store, HOST_LABEL: host, BOOT_LABEL: boot_id()}


@functools.cache
def boot_id() -> str:
    """Return this boot's id: containers of another boot have no living host."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
