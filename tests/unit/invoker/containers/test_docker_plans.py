"""The pure parts of Docker containers: where the engine is, what it is asked for, what its answers mean."""

from __future__ import annotations

import io
import json
import ssl
import tarfile
from pathlib import Path
from typing import Any

import pytest
from sandbox.guests import INTERPRETER, probe

from upwhisk.common.errors import ConfigurationError
from upwhisk.common.settings import DockerSettings
from upwhisk.common.spi.containers import ContainerSpec, ContainerStats, Network
from upwhisk.invoker.containers.bounds import GuestBounds
from upwhisk.invoker.containers.cgroup_lookup import folders_of
from upwhisk.invoker.containers.cgroups import cgroup_mounts
from upwhisk.invoker.containers.docker.causes import cause_of
from upwhisk.invoker.containers.docker.confinement import weaknesses
from upwhisk.invoker.containers.docker.controls import stats_of
from upwhisk.invoker.containers.docker.endpoint import Endpoint, endpoint_of
from upwhisk.invoker.containers.docker.guest_config import (
    Command,
    Surroundings,
    container_config,
    instances_of,
    profile,
    volumes_of,
)
from upwhisk.invoker.containers.docker.host_base import HostBase
from upwhisk.invoker.containers.docker.image_names import (
    BIRTH,
    image_name,
    labels,
    runtime_images,
    start_command,
)
from upwhisk.runtimes.skeleton import is_skeleton

AROUND = Surroundings(
    "1234abcd", "/run/upwhisk", "x86_64", GuestBounds(scratch_mb=16, processes=32), ("9.9.9.9",)
)
OURS = Command("upwhisk/python:3.12", ("python3", "start.py"), "/run/upwhisk/1234abcd/1")


@pytest.mark.parametrize(
    ("settings", "environment", "expected"),
    [
        (DockerSettings(), {}, Endpoint("unix:///var/run/docker.sock")),
        (DockerSettings(), {"DOCKER_HOST": "unix:///x"}, Endpoint("unix:///x")),
        (DockerSettings(host="unix:///y"), {"DOCKER_HOST": "unix:///x"}, Endpoint("unix:///y")),
        (
            DockerSettings(host="tcp://engine", ca_file="a", cert_file="b", key_file="c"),
            {},
            Endpoint("https://engine:2376", "a", "b", "c"),
        ),
        (
            DockerSettings(host="tcp://[::1]:99/"),
            {"DOCKER_CERT_PATH": "/c"},
            Endpoint("https://[::1]:99", "/c/ca.pem", "/c/cert.pem", "/c/key.pem"),
        ),
    ],
)
def test_where_the_engine_is(
    settings: DockerSettings, environment: dict[str, str], expected: Endpoint
) -> None:
    assert endpoint_of(settings, environment) == expected


@pytest.mark.parametrize(
    ("host", "setting"),
    [
        ("unix://relative", "docker.host"),
        ("ssh://x", "docker.host"),
        ("tcp://", "docker.host"),
        ("tcp://x:1", "docker.ca_file"),
    ],
)
def test_addresses_that_are_refused_name_their_setting(host: str, setting: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        endpoint_of(DockerSettings(host=host), {})
    assert caught.value.setting == setting


def test_images_are_known_by_name_and_label() -> None:
    def entry(kind: str, *names: str, **changes: str) -> dict[str, Any]:
        return {
            "RepoTags": list(names),
            "Labels": {**labels(kind, "python", "python_proxy.py", "abc"), **changes},
        }

    found, findings = runtime_images(
        "upwhisk",
        [
            entry("python:3.12", "upwhisk/python:3.12", "other:1"),
            entry("python:3.11", "elsewhere/python:3.11"),
            entry("python:3.10", "upwhisk/python:3.10", **{BIRTH: "0"}),
            {"RepoTags": None, "Labels": None},
            {"RepoTags": ["upwhisk/python:3.9"], "Labels": {"x": "y"}},
        ],
    )
    assert list(found) == ["python:3.12"]
    assert found["python:3.12"].start == start_command("python", "python_proxy.py")
    assert len(findings) == 1
    assert "upwhisk/python:3.10" in findings[0]
    assert image_name("a/b", "blackbox") == "a/b/native:latest"


def test_node_starts_behind_its_pipes() -> None:
    shell, _, line = start_command("nodejs", "node_proxy.js")
    assert shell == "/bin/sh"
    assert line.endswith(">/run/upwhisk/stdout 2>/run/upwhisk/stderr")
    assert "--birth /run/upwhisk/birth" in line


def test_a_guest_is_asked_for_with_every_bound() -> None:
    config = container_config(AROUND, ContainerSpec("python:3.12", 64, environment=(("A", "ä"),)), OURS, 4711)
    host = config["HostConfig"]
    assert config["User"] == "4711:4711"
    assert (host["NetworkMode"], host["ReadonlyRootfs"], host["CapDrop"]) == ("none", True, ["ALL"])
    assert host["Memory"] == host["MemorySwap"] == 64 << 20
    assert host["PidsLimit"] == 32
    assert "no-new-privileges" in host["SecurityOpt"]
    assert host["LogConfig"]["Type"] == "none"
    assert all(bind.endswith(":ro") for bind in host["Binds"])
    assert host["Tmpfs"] == {
        "/tmp": "rw,nosuid,nodev,exec,size=16m,nr_inodes=32768,mode=700,uid=4711,gid=4711"
    }
    assert "A=ä" in config["Env"]
    assert "__OW_API_HOST=http://127.0.0.1:3233" in config["Env"], "every container has it"
    assert host["Dns"] == ["127.0.0.1"]
    assert config["Cmd"] == ["python3", "start.py"]


def test_networks_bounds_and_weights_are_told() -> None:
    spec = ContainerSpec("python:3.12", 64, Network.OUTBOUND)
    config = container_config(AROUND, spec, OURS, 1)
    assert config["HostConfig"]["Dns"] == ["9.9.9.9"]
    assert config["HostConfig"]["NetworkMode"] == "none"
    assert "__OW_API_HOST=http://127.0.0.1:3233" in config["Env"]
    assert config["HostConfig"]["CpuShares"] == 512
    idle = Surroundings("i", "/r", "x86_64", GuestBounds(idle=True, cores=0.5), (), "", "runsc")
    host = container_config(idle, spec, OURS, 1)["HostConfig"]
    assert (host["CpuShares"], host["NanoCpus"], host["Runtime"]) == (2, 500_000_000, "runsc")
    grouped = Surroundings("i", "/r", "x86_64", GuestBounds(), (), "/upwhisk-i")
    assert container_config(grouped, spec, OURS, 1)["HostConfig"]["CgroupParent"] == "/upwhisk-i"


def test_an_image_that_an_action_names_keeps_its_command_and_gets_no_disk() -> None:
    image: dict[str, Any] = {"Config": {"Volumes": {"/data": {}, "/tmp": {}, "/": {}}}}
    named = Command("x/y", volumes=volumes_of(image))
    config = container_config(AROUND, ContainerSpec("blackbox", 64, image="x/y"), named, 4711)
    assert "Cmd" not in config
    assert "Entrypoint" not in config
    assert "Binds" not in config["HostConfig"]
    assert set(config["HostConfig"]["Tmpfs"]) == {"/tmp", "/data"}
    assert config["User"] == "4711:4711"
    assert config["Healthcheck"] == {"Test": ["NONE"]}
    writable = container_config(AROUND, ContainerSpec("blackbox", 64), Command("x/y", writable=True), 4711)
    assert "User" not in writable
    assert writable["HostConfig"]["ReadonlyRootfs"] is False
    assert writable["HostConfig"]["CapDrop"] == ["ALL"]
    assert volumes_of({}) == ()


def test_the_filter_is_an_allow_list() -> None:
    text = json.loads(profile("x86_64"))
    assert text["defaultAction"] == "SCMP_ACT_ERRNO"
    assert text["architectures"] == ["SCMP_ARCH_X86_64"]
    allowed = {
        name
        for rule in text["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule
        for name in rule["names"]
    }
    assert {"read", "execve", "futex"} <= allowed
    assert not {"mount", "bpf", "ptrace", "unshare", "clone", "clone3", "socket", "keyctl"} & allowed
    assert "architectures" not in json.loads(profile("riscv64"))


CONFINED = "Uid:\t7\t7\t7\t7\nNoNewPrivs:\t1\nSeccomp:\t2\n" + "".join(
    f"Cap{name}:\t0000000000000000\n" for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")
)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (CONFINED, []),
        (CONFINED.replace("Uid:\t7", "Uid:\t0"), ["it runs as root"]),
        (CONFINED.replace("CapBnd:\t0", "CapBnd:\t8"), ["it has capabilities"]),
        (CONFINED.replace("NoNewPrivs:\t1", "NoNewPrivs:\t0"), ["it may gain privileges"]),
        (CONFINED.replace("Seccomp:\t2", "Seccomp:\t0"), ["its system calls are not filtered"]),
    ],
)
def test_what_the_engine_left_open_is_found(status: str, expected: list[str]) -> None:
    assert weaknesses(status, may_be_root=False) == expected


def test_nothing_known_is_nothing_confined() -> None:
    assert len(weaknesses("", may_be_root=False)) == 4
    assert weaknesses(CONFINED.replace("\t7", "\t0"), may_be_root=True) == []


_V1 = "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/docker/abc\n"
_MOUNTS = """\
35 31 0:32 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
37 31 0:34 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""


def test_the_groups_of_a_process_are_found() -> None:
    found = folders_of(_V1, cgroup_mounts(_MOUNTS))
    assert found["memory"] == Path("/sys/fs/cgroup/memory/docker/abc")
    assert found["cpuacct"] == Path("/sys/fs/cgroup/cpu,cpuacct/docker/abc")
    assert found[""] == Path("/sys/fs/cgroup/unified/docker/abc")


def test_groups_out_of_sight_are_not_guessed() -> None:
    inside = _MOUNTS.replace("0:32 /", "0:32 /docker/me")
    assert "memory" not in folders_of(_V1, cgroup_mounts(inside))
    assert folders_of("0::/../other\n", cgroup_mounts(_MOUNTS)) == {}
    own = folders_of("5:memory:/docker/me/abc\n", cgroup_mounts(inside))
    assert own == {"memory": Path("/sys/fs/cgroup/memory/abc")}


def test_instances_are_read_from_labels() -> None:
    listing: list[dict[str, Any]] = [
        {"Id": "1", "Labels": {"upwhisk.instance": "a"}},
        {"Id": "2", "Labels": {"upwhisk.instance": "a"}},
        {"Id": "3", "Labels": {}},
        {"Id": "4", "Labels": None},
    ]
    assert instances_of(listing) == {"a": ["1", "2"]}


def test_figures_of_the_engine_are_read() -> None:
    answer = {
        "memory_stats": {"usage": 5},
        "cpu_stats": {"cpu_usage": {"total_usage": 6}},
        "pids_stats": {"current": 7},
    }
    assert stats_of(answer) == ContainerStats(5, 6, 7)
    assert stats_of({}) == ContainerStats(0, 0, 0)


def test_causes_are_the_deepest_ones() -> None:
    def raised(inner: BaseException) -> BaseException:
        try:
            try:
                raise inner
            except BaseException as error:
                raise RuntimeError("long words") from error
        except RuntimeError as outer:
            return outer

    assert cause_of(raised(ConnectionRefusedError(111, "x"))) == "Connection refused"
    assert cause_of(raised(ssl.SSLError(1, "[SSL: BAD] x"))).startswith("TLS: ")
    assert cause_of(RuntimeError()) == "RuntimeError"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("openwhisk/dockerskeleton", True),
        ("docker.io/openwhisk/dockerskeleton:1.2", True),
        ("me/dockerskeleton", False),
        ("openwhisk/dockerskeleton2", False),
        ("registry:5000/openwhisk/dockerskeleton", False),
    ],
)
def test_the_skeleton_is_known_whatever_its_tag(image: str, expected: bool) -> None:
    assert is_skeleton(image) is expected


def test_a_base_of_this_host_holds_the_interpreter_and_nothing_of_the_platform() -> None:
    base = HostBase(probe())
    packed = io.BytesIO()
    base.write(packed)
    packed.seek(0)
    with tarfile.open(fileobj=packed) as archive:
        entries = {entry.name: entry for entry in archive}
    assert str(INTERPRETER).lstrip("/") in entries
    assert entries["usr/local/bin/python3"].linkname == str(INTERPRETER)
    assert entries["tmp"].mode == 0o1777
    assert any(name.endswith("/json/__init__.py") for name in entries)
    assert not [
        name
        for name in entries
        if "site-packages/" in name or "/test/" in name or name.startswith("opt/upwhisk")
    ]
    assert all(entry.uid == entry.gid == 0 for entry in entries.values())
    assert base.fingerprint() == HostBase(probe()).fingerprint()
