"""What the engine made of our options: `docker inspect` against the CIS Docker Benchmark, section 5."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from runner.sandbox.container import KERNEL_MARGIN_BYTES, boot_id
from runner.sandbox.profile import profile
from tests.integration.docker_guests import LIMITS, guest, inspected

pytestmark = pytest.mark.docker

Holds = Callable[[dict[str, Any], dict[str, Any]], bool]

# Number and title as in the CIS Docker Benchmark 1.6.0, section 5. Left out: 5.1 (swarm), 5.2 (AppArmor is a module
# of the machine's; profile and lock hold without it), 5.14 and 5.30 (there is no network at all).
CIS: dict[str, Holds] = {
    "5.3 SELinux options are not weakened": lambda c, h: "label=disable" not in h["SecurityOpt"],
    "5.4 Linux capabilities are restricted": lambda c, h: h["CapDrop"] == ["ALL"] and not h["CapAdd"],
    "5.5 no privileged containers": lambda c, h: h["Privileged"] is False,
    "5.6 no sensitive host directories are mounted": lambda c, h: not c["Mounts"] and not h["Binds"],
    "5.7 no sshd runs inside": lambda c, h: c["Path"].startswith("/usr/bin/python3."),
    "5.8 no privileged ports are mapped": lambda c, h: not h["PortBindings"],
    "5.9 only needed ports are open": lambda c, h: not c["Config"].get("ExposedPorts") and not h["PublishAllPorts"],
    "5.10 the host's network is not shared": lambda c, h: h["NetworkMode"] == "none",
    "5.11 memory is limited": lambda c, h: 0 < h["Memory"] == h["MemorySwap"],
    "5.12 CPU is limited": lambda c, h: h["NanoCpus"] == 1_000_000_000,
    "5.13 its root is read-only": lambda c, h: h["ReadonlyRootfs"] is True and not h.get("Tmpfs"),
    "5.15 it is not restarted": lambda c, h: h["RestartPolicy"]["Name"] in ("", "no"),
    "5.16 the host's processes are not shared": lambda c, h: h["PidMode"] == "",
    "5.17 the host's IPC is not shared": lambda c, h: h["IpcMode"] == "none",
    "5.18 no host devices": lambda c, h: not h["Devices"] and not h["DeviceRequests"] and not h["DeviceCgroupRules"],
    "5.19 default ulimits are overwritten": lambda c, h: sorted(u["Name"] for u in h["Ulimits"]) == ULIMITS,
    "5.20 no shared mount propagation": lambda c, h: not h.get("Mounts"),
    "5.21 the host's UTS is not shared": lambda c, h: h["UTSMode"] == "",
    "5.22 the seccomp profile is not disabled": lambda c, h: _profile_of(h) == profile(),
    "5.23 and 5.24 nobody was sent in with exec": lambda c, h: not c["ExecIDs"],
    "5.25 cgroup usage is confirmed": lambda c, h: h["CgroupParent"] == "",
    "5.26 no additional privileges": lambda c, h: "no-new-privileges:true" in h["SecurityOpt"],
    "5.27 health is not checked by commands": lambda c, h: c["Config"]["Healthcheck"] == {"Test": ["NONE"]},
    "5.28 the image is named exactly": lambda c, h: c["Config"]["Image"].startswith("sha256:"),
    "5.29 the number of processes is limited": lambda c, h: h["PidsLimit"] == 16,
    "5.31 the host's user namespace is not shared": lambda c, h: h["UsernsMode"] == "",
    "5.32 the engine's socket is not mounted": lambda c, h: "docker.sock" not in json.dumps(c["Mounts"]),
    "4.1 it does not run as root": lambda c, h: c["Config"]["User"] == "65534:65534",
    "its cgroup namespace is its own": lambda c, h: h["CgroupnsMode"] == "private",
    "it is the first to be killed for memory": lambda c, h: h["OomScoreAdj"] == 1000,
    "nothing it says is kept by the engine": lambda c, h: h["LogConfig"]["Type"] == "none",
    "it has no terminal": lambda c, h: c["Config"]["Tty"] is False,
    "it has no volumes": lambda c, h: not c["Config"].get("Volumes") and not h["VolumesFrom"],
    "it has no host groups": lambda c, h: not h["GroupAdd"],
}


async def test_a_container_meets_the_cis_benchmark_of_container_runtime():
    async with guest() as channel:
        found = await inspected(channel.facts.container)

    assert found is not None
    assert [rule for rule, holds in CIS.items() if not holds(found, found["HostConfig"])] == []


async def test_a_container_says_whose_it_is_and_has_the_memory_of_its_limits():
    async with guest() as channel:
        found = await inspected(channel.facts.container)

    assert found is not None
    labels = {name: value for name, value in found["Config"]["Labels"].items() if name in LABELS}
    assert labels == {"runner.store": "tests", "runner.host": "tests", "runner.boot": boot_id()}
    assert found["HostConfig"]["Memory"] == LIMITS.memory_bytes + KERNEL_MARGIN_BYTES
    assert found["Config"]["Cmd"][-1] == str(LIMITS.memory_bytes)
    assert found["Image"] == channel.facts.image


async def test_a_guest_sees_an_environment_of_constants():
    async with guest("import os\nos.write(1, repr(sorted(os.environ.items())).encode())") as channel:
        heard = b""
        while piece := await channel.receive():
            heard += piece

    assert dict(eval(heard)) == {
        "HOME": "/",
        "HOSTNAME": "sandbox",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC0",
    }


ULIMITS = ["core", "fsize", "nofile"]
LABELS = ("runner.store", "runner.host", "runner.boot")


def _profile_of(host_config: dict[str, Any]) -> Any:
    text = next(option for option in host_config["SecurityOpt"] if option.startswith("seccomp="))
    return json.loads(text.removeprefix("seccomp="))
