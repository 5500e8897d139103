"""A guest sees nothing of the platform, the host or other guests, and cannot gain power."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from sandbox.guests import PROBE, run, spec
from sandbox.kits import Kit

from upwhisk.common.spi.containers import Container, ContainerFactory

pytestmark = pytest.mark.sandbox

# x86_64, aarch64
_CALLS = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "unshare": (272, 97),
    "setns": (308, 268),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "reboot": (169, 142),
    "syslog": (103, 116),
    "swapon": (167, 224),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "sethostname": (170, 161),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "vhangup": (153, 58),
    "fanotify_init": (300, 262),
    "lookup_dcookie": (212, 18),
    "io_uring_setup": (425, 425),
    "clone3": (435, 435),
}
_COLUMN = {"x86_64": 0, "aarch64": 1}[os.uname().machine]


async def test_it_is_an_unprivileged_user_without_capabilities(kit: Kit, guest: Container) -> None:
    status = await run(
        guest,
        """
        result = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
        """,
    )
    assert len({*status["Uid"].split(), *status["Gid"].split()}) == 1
    assert int(status["Uid"].split()[0]) >= 1000
    assert kit.name == "docker" or status["Uid"].split()[0] == "1000"
    assert set(status["Groups"].split()) <= {status["Gid"].split()[0]}
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"


async def test_each_has_its_own_user_on_the_host_when_root(kit: Kit, factory: ContainerFactory) -> None:
    if os.geteuid() != 0:
        pytest.skip("an ordinary user has one id to give")
    owners = set()
    for _ in range(2):
        container = await factory.create(spec())
        pid = next(iter(kit.members(factory, container)))
        owners.add(os.stat(f"/proc/{pid}").st_uid)
        same = "import os, pwd; uid = os.getuid(); result = [os.stat('/tmp').st_uid == uid, pwd.getpwuid(uid).pw_name]"
        assert await run(container, same) == [True, "guest"]
    assert len(owners) == 2
    assert 0 not in owners


async def test_namespaces_are_its_own(kit: Kit, factory: ContainerFactory) -> None:
    code = "import os; result = {n: os.readlink('/proc/self/ns/' + n) for n in os.listdir('/proc/self/ns')}"
    one, two = [await run(await factory.create(spec()), code) for _ in range(2)]
    for name in kit.namespaces:
        host = os.readlink(f"/proc/self/ns/{name}")
        assert len({one[name], two[name], host}) == 3, name


async def test_it_cannot_find_the_platforms_data(guest: Container, tmp_path: Path) -> None:
    secret = tmp_path / "whisks.key"
    secret.write_text("very secret", encoding="utf-8")
    assert secret.exists()
    found = await run(
        guest,
        f"""
        import os
        seen = []
        for path, folders, files in os.walk("/"):
            if path.startswith("/proc"):
                continue
            seen += [os.path.join(path, f) for f in files if f == {secret.name!r}]
        result = [seen, os.path.exists({str(secret)!r}), os.path.exists({str(secret.parent)!r})]
        """,
    )
    assert found == [[], False, False]


async def test_its_root_holds_the_runtime_alone(kit: Kit, guest: Container) -> None:
    listing = await run(
        guest,
        """
        import os
        names = ["/home", "/root", "/sys", "/run", "/boot", "/mnt", "/var", "/usr/bin", "/etc"]
        result = {n: sorted(os.listdir(n)) if os.path.isdir(n) else None for n in names}
        """,
    )
    for name in ("/home", "/sys", "/boot", "/mnt"):
        assert listing[name] in (None, []), name
    assert listing["/run"] in (None, ["upwhisk"])
    assert set(listing["/var"]) == {"tmp"}
    assert set(listing["/etc"]) <= kit.etc
    assert "passwd" in listing["/etc"]
    assert not {"mount", "su", "sudo", "apt"} & set(listing["/usr/bin"] or ())
    home = await run(
        guest,
        """
        import os
        result = [os.path.join(p, f) for p, _, fs in os.walk("/root") for f in fs][:100000]
        """,
    )
    runtime = str(Path(os.path.realpath(os.sys.executable)).parent.parent)  # type: ignore[attr-defined]
    assert [path for path in home if not path.startswith((runtime, str(PROBE.parent)))] == []


async def test_the_platforms_packages_are_hidden(guest: Container) -> None:
    found = await run(
        guest,
        """
        import importlib.util, os, sys, sysconfig
        stdlib = sysconfig.get_path("stdlib")
        packages = [os.path.join(stdlib, n) for n in ("site-packages", "dist-packages")]
        result = [[os.listdir(p) for p in packages if os.path.isdir(p)], importlib.util.find_spec("pytest") is None]
        """,
    )
    assert all(listing == [] for listing in found[0])
    assert found[1] is True


async def test_nothing_of_the_root_can_be_written(kit: Kit, guest: Container) -> None:
    done = await run(
        guest,
        """
        import os
        result = []
        for path in ("/x", "/etc/passwd", "/usr/x", "/dev/x", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger",
                     "/run/x", "/run/upwhisk/x", "/run/upwhisk/passwd", "/sys/x", "/etc/hosts", "/etc/resolv.conf",
                     "/proc/self/oom_score_adj", "/proc/self/uid_map", "/proc/self/attr/current", os.__file__):
            try:
                with open(path, "w") as f:
                    f.write("1")
            except OSError:
                continue
            result.append(path)
        """,
    )
    assert set(done) <= kit.writable
    lowered = """
    try:
        with open("/proc/self/oom_score_adj", "w") as f:
            f.write("-1000")
        result = "lowered"
    except OSError:
        result = ""
    """
    assert await run(guest, lowered) == ""


async def test_devices_are_harmless_ones(kit: Kit, guest: Container) -> None:
    devices, made = await run(
        guest,
        """
        import os, stat
        nodes = [n for n in os.listdir("/dev") if not os.path.islink("/dev/" + n)]
        made = []
        for kind in (stat.S_IFBLK, stat.S_IFCHR):
            try:
                os.mknod(f"/tmp/device{kind}", kind | 0o600, os.makedev(1, 1))
                made.append(kind)
            except OSError:
                pass
        result = [nodes, made]
        """,
    )
    assert Kit.devices <= set(devices) <= kit.devices
    assert made == []


async def test_it_inherits_no_descriptors_and_no_environment(kit: Kit, guest: Container) -> None:
    links, environment, initial = await run(
        guest,
        """
        import os
        links = {}
        for n in os.listdir("/proc/self/fd"):
            try:
                links[n] = os.readlink("/proc/self/fd/" + n)
            except OSError:
                pass
        result = [links, dict(os.environ), open("/proc/1/environ").read()]
        """,
    )
    assert links["0"] == "/dev/null"
    kinds = {number: name.split(":")[0] for number, name in links.items()}
    if kit.name == "docker":  # named once, and the names are gone
        assert [links["1"], links["2"]] == [f"/run/upwhisk/{name} (deleted)" for name in ("stdout", "stderr")]
    else:
        assert kinds["1"] == kinds["2"] == "pipe"
    assert kinds["3"] == "socket"
    # one more socket is the connection that carries this very request
    assert len([n for n in links if int(n) > 3]) == 1
    known = {"PATH", "HOME", "TMPDIR", "LANG", "LC_CTYPE", "__OW_API_HOST"} | ({"HOSTNAME"} if kit.name == "docker" else set())
    assert set(environment) <= known
    assert not set(initial.split("\0")) & {f"{k}={v}" for k, v in os.environ.items() if k not in known}


async def test_dangerous_system_calls_are_refused(guest: Container) -> None:
    numbers = {name: columns[_COLUMN] for name, columns in _CALLS.items()}
    outcomes = await run(
        guest,
        f"""
        import ctypes, errno
        libc = ctypes.CDLL(None, use_errno=True)
        zero = ctypes.c_long(0)
        result = {{}}
        for name, number in {numbers!r}.items():
            done = libc.syscall(number, zero, zero, zero, zero, zero, zero)
            result[name] = [done, errno.errorcode.get(ctypes.get_errno())]
        """,
    )
    absent = {"io_uring_setup", "clone3"}
    assert outcomes == {name: [-1, "ENOSYS" if name in absent else "EPERM"] for name in _CALLS}


async def test_it_cannot_make_user_namespaces_or_become_root(guest: Container) -> None:
    done = await run(
        guest,
        """
        import ctypes, errno, os, platform
        libc = ctypes.CDLL(None, use_errno=True)
        number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
        result = []
        for flag in (0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x10020000):
            pid = libc.syscall(number, ctypes.c_long(flag | 17), 0, 0, 0, 0)
            if pid == 0:
                os._exit(0)
            result.append([pid, errno.errorcode.get(ctypes.get_errno())])
        for change in (os.setuid, os.setgid, lambda i: os.setresuid(i, i, i), lambda i: os.setgroups([i])):
            try:
                change(0)
                result.append("done")
            except OSError:
                pass
        """,
    )
    assert done == [[-1, "EPERM"]] * 5


async def test_sockets_of_other_families_are_refused(guest: Container) -> None:
    made = await run(
        guest,
        """
        import socket
        result = []
        tried = [(17, 3, 0), (40, 1, 0), (38, 5, 0), (16, 3, 9), (16, 3, 12), (2, 3, 1), (31, 3, 1), (29, 3, 1)]
        for family, kind, protocol in tried:
            try:
                socket.socket(family, kind, protocol).close()
                result.append(family)
            except OSError:
                pass
        """,
    )
    assert made == []


async def test_guests_do_not_see_one_another(factory: ContainerFactory) -> None:
    one, two = await factory.create(spec()), await factory.create(spec())
    await run(
        one,
        """
        import os, socket, subprocess, sys, time
        open("/tmp/mine", "w").write("secret")
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind("\\0guest-of-mine")
        abstract.listen()
        import builtins
        builtins.kept = abstract
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        result = 1
        """,
    )
    found = await run(
        two,
        """
        import os, socket
        processes = [int(n) for n in os.listdir("/proc") if n.isdigit()]
        killed = []
        for pid in range(2, 400):
            if str(pid) not in os.listdir("/proc/self/task"):
                try:
                    os.kill(pid, 9)
                    killed.append(pid)
                except OSError:
                    pass
        try:
            socket.socket(socket.AF_UNIX).connect("\\0guest-of-mine")
            reached = True
        except OSError:
            reached = False
        result = [processes, killed, os.listdir("/tmp"), reached]
        """,
    )
    assert found == [[1], [], [], False]
    assert one.alive


async def test_shared_memory_of_the_host_is_out_of_sight(guest: Container) -> None:
    listing = await run(
        guest,
        "result = [open('/proc/sysvipc/' + n).read().splitlines()[1:] for n in ('shm', 'sem', 'msg')]",
    )
    assert listing == [[], [], []]


async def test_the_hosts_abstract_sockets_are_out_of_reach(guest: Container) -> None:
    name = f"\0upwhisk-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(name)
        outcome = await run(
            guest,
            f"""
            import socket
            try:
                socket.socket(socket.AF_UNIX).connect({json.dumps(name)})
                result = "connected"
            except OSError as error:
                result = type(error).__name__
            """,
        )
    assert outcome == "ConnectionRefusedError"


async def test_a_set_user_id_program_gives_nothing(kit: Kit, guest: Container) -> None:
    if (
        kit.name == "docker"
    ):  # its mounts let them be, but no process of it can gain anything: see the first test
        assert "NoNewPrivs:\t1\n" in await run(guest, "result = open('/proc/self/status').read()")
        return
    flags = await run(
        guest,
        """
        import os
        result = []
        for line in open("/proc/self/mountinfo"):
            fields = line.split()
            if "nosuid" not in fields[5].split(","):
                result.append(fields[4])
        """,
    )
    assert flags == []


async def test_two_guests_draw_different_random_numbers(factory: ContainerFactory) -> None:
    code = """
    import os, random, secrets, ssl, uuid
    result = [os.urandom(8).hex(), random.random(), secrets.token_hex(8), ssl.RAND_bytes(8).hex(), str(uuid.uuid4())]
    """
    one, two = [await run(await factory.create(spec()), code) for _ in range(2)]
    assert all(a != b for a, b in zip(one, two, strict=True))
