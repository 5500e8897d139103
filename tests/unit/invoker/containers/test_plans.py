"""The pure parts: texts of the kernel and of tools, and which files a root needs."""

from __future__ import annotations

import ipaddress
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from sandbox.guests import INTERPRETER, PROBE, probe

from upwhisk.common.errors import ContainerCreateFailed
from upwhisk.invoker.containers import network_rules, roots, seccomp
from upwhisk.invoker.containers.cgroups import cgroup_mounts, counter
from upwhisk.invoker.containers.cgroups_v1 import base_v1, missing_v1
from upwhisk.invoker.containers.cgroups_v2 import PLATFORM, base_v2, missing_v2
from upwhisk.invoker.containers.elf import libraries, read_elf
from upwhisk.invoker.containers.resolvers import parse_resolvers
from upwhisk.invoker.containers.slots import Slots

_HYBRID = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
37 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
"""


def test_cgroup_mounts_are_read() -> None:
    mounts = list(cgroup_mounts(_HYBRID))
    assert [m.version for m in mounts] == [1, 1, 1, 1, 2]
    base = base_v1(mounts, "")
    assert base["cpu"] == base["cpuacct"] == Path("/sys/fs/cgroup/cpu,cpuacct")
    assert base_v1(mounts, "ann")["memory"] == Path("/sys/fs/cgroup/memory/upwhisk/ann")


def test_missing_controllers_and_rights_are_named() -> None:
    assert "pids" in missing_v1({"memory": Path("/"), "cpu": Path("/")}, "")[0]
    closed = {c: Path("/nowhere") for c in ("memory", "pids", "freezer", "cpu", "cpuacct")}
    assert "host-setup --user ann" in missing_v1(closed, "ann")[0]
    assert "read-only" in missing_v1(closed, "")[0]


def test_v2_divides_its_own_group_or_the_top(tmp_path: Path) -> None:
    mount = next(m for m in cgroup_mounts(f"1 2 0:3 / {tmp_path} rw - cgroup2 cgroup2 rw"))
    assert base_v2(mount, "/user.slice/x.scope", "ann") == tmp_path / "user.slice/x.scope"
    assert base_v2(mount, f"/user.slice/x.scope/{PLATFORM}", "ann") == tmp_path / "user.slice/x.scope"
    assert base_v2(mount, "/system.slice", "") == tmp_path
    inner = next(m for m in cgroup_mounts(f"1 2 0:3 /docker/1 {tmp_path} rw - cgroup2 cgroup2 rw"))
    assert base_v2(inner, "/docker/1/a", "ann") == tmp_path / "a"


def test_v2_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu pids\n", encoding="ascii")
    assert "lacks memory" in missing_v2(tmp_path, "ann")[0]
    assert "systemd-run" in missing_v2(tmp_path, "ann")[0]
    (tmp_path / "cgroup.controllers").write_text("cpu io memory pids\n", encoding="ascii")
    assert (
        "not writable" in missing_v2(tmp_path / "nowhere", "")[0]
        or "lacks" in missing_v2(tmp_path / "nowhere", "")[0]
    )
    for name in ("cgroup.procs", "cgroup.subtree_control"):
        (tmp_path / name).touch()
    assert missing_v2(tmp_path, "ann") == []


@pytest.mark.parametrize(("name", "value"), [("oom_kill", 3), ("oom", 5), ("absent", 0)])
def test_counters_are_read_by_their_whole_name(name: str, value: int) -> None:
    assert counter("low 0\noom 5\noom_kill 3\noom_group_kill 9\n", name) == value


def test_resolvers_that_a_guest_could_not_reach_are_left_out() -> None:
    text = "# x\nsearch a.b\nnameserver 127.0.0.53\nnameserver  10.0.0.1\nnameserver fe80::1\nnameserver junk\nnameserver 9.9.9.9\n"
    assert parse_resolvers(text) == ("10.0.0.1", "9.9.9.9")
    assert parse_resolvers("") == ()


def test_a_free_subnet_overlaps_nothing() -> None:
    first = network_rules.free_subnet([])
    second = network_rules.free_subnet([first, "192.168.0.0/16", "0.0.0.0/0"])
    assert not ipaddress.ip_network(first).overlaps(ipaddress.ip_network(second))
    with pytest.raises(LookupError):
        network_rules.free_subnet(["10.0.0.0/8"])


def test_names_of_links_fit_the_kernel() -> None:
    names = [network_rules.bridge_name("0123abcd"), network_rules.cable_name("0123abcd", "fff")]
    assert all(len(name) <= 15 for name in names)
    assert len(set(names)) == 2


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="checking rules needs root and nft")
@pytest.mark.parametrize("resolvers", [(), ("9.9.9.9",), ("9.9.9.9", "1.1.1.1")])
@pytest.mark.parametrize("allow", [(), ("10.1.0.0/16", "fd00::/8"), ("192.168.1.0/24", "10.1.0.0/16")])
@pytest.mark.parametrize("closed", [(), ("198.51.100.7", "10.1.0.3", "198.51.100.7")])
def test_nft_takes_the_rules(resolvers: tuple[str, ...], allow: tuple[str, ...], closed: tuple[str, ...]) -> None:
    text = network_rules.rules("0123abcd", "10.213.0.0/20", resolvers, allow, closed)
    subprocess.run(["nft", "--check", "-f", "-"], input=text, text=True, check=True)


def test_private_networks_are_closed() -> None:
    closed = [ipaddress.ip_network(text) for text in network_rules.CLOSED]
    for address in (
        "10.1.2.3",
        "172.31.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ):
        assert any(ipaddress.ip_address(address) in network for network in closed), address
    assert not any(ipaddress.ip_address("1.1.1.1") in network for network in closed)


def test_slots_are_nobody_elses() -> None:
    slots = Slots("0123abcd")
    taken = [slots.take() for _ in range(4095)]
    assert len({slot.name for slot in taken}) == 4095
    with pytest.raises(ContainerCreateFailed):
        slots.take()
    taken[7].release()
    assert slots.take().name == taken[7].name
    if os.geteuid() == 0:
        uids = {slot.uid for slot in taken}
        assert len(uids) == 4095
        assert min(uids) >= 1_879_048_192
        assert max(uids) < 2_147_483_648


def test_libraries_are_those_the_linker_loads() -> None:
    elf = read_elf(INTERPRETER)
    assert elf is not None
    assert elf.interpreter is not None
    listing = subprocess.run(["ldd", str(INTERPRETER)], capture_output=True, text=True, check=True).stdout
    expected = {os.path.basename(word) for word in listing.split() if word.startswith("/")}
    assert expected <= {path.name for path in libraries([INTERPRETER])}


def test_what_is_no_program_needs_nothing(tmp_path: Path) -> None:
    for content in (b"", b"#!/bin/sh\n", b"\x7fELF\x02\x01", b"\x7fELF\x02\x01" + b"\xff" * 100):
        (tmp_path / "file").write_bytes(content)
        assert libraries([tmp_path / "file"]) == {}


def test_a_root_is_the_runtime_and_little_else() -> None:
    plan = roots.plan_root(probe(), ("9.9.9.9",))
    assert str(INTERPRETER) in plan.binds
    assert plan.binds[str(roots.PROXIES)] == str(PROBE.parent)
    assert plan.files["/etc/resolv.conf"] == "nameserver 9.9.9.9\n"
    assert not [
        path
        for path in plan.binds
        if path.startswith("/dev/")
        and path.count("/") == 2
        and path[5:] not in ("null", "zero", "full", "random", "urandom")
    ]
    assert not {"/usr", "/etc", "/", "/usr/bin", "/usr/lib", "/lib"} & set(plan.binds)
    assert (
        any("site-packages" in path or "dist-packages" in path for path in plan.hidden)
        or "site" not in sys.prefix
    )


def test_an_interpreter_where_guests_look_for_it_is_not_linked_to_itself() -> None:
    plan = roots.RootPlan()
    plan.link("/usr/local/bin/node", Path("/usr/local/bin/node"))
    plan.link("/usr/local/bin/python3", Path("/usr/bin/python3.11"))
    assert plan.links == {"/usr/local/bin/python3": "/usr/bin/python3.11"}


def test_the_filter_is_whole_instructions_and_small() -> None:
    code = seccomp.guest_filter()
    assert len(code) % 8 == 0
    assert 100 < len(code) // 8 < 4096
    operations = {struct.unpack_from("<H", code, at)[0] for at in range(0, len(code), 8)}
    assert 0x06 in operations  # it returns verdicts
