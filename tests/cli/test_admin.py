"""`upwhisk admin`: texts and exit codes are wskadmin's, on a running platform and on a stopped one's files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli.command import Command, Done
from fakes.running import Running
from fakes.samples import record

from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.settings import RetentionSettings

LOGIN = r"[0-9a-f-]{36}:[A-Za-z0-9]{64}"
pytestmark = pytest.mark.sandbox


async def _user_commands(admin: Command, data: Path) -> None:
    """What operators' scripts do, wherever the data is reached."""

    async def run(*arguments: str) -> Done:
        done = await admin("admin", *arguments, "--data", str(data))
        assert done.err == ""
        return done

    created = await run("user", "create", "alice")
    assert created.code == 0
    assert re.fullmatch(LOGIN + "\n", created.out)
    login = created.out.strip()
    for arguments, code, out in (
        ("user create alice", 1, "Namespace already exists"),
        ("user create abc", 2, "Subject name must be at least 5 characters"),
        ("user create alice -ns x -u no:key", 2, "authorization id is not a valid UUID"),
        ("user get alice", 0, login),
        ("user get alice -ns x", 1, 'namespace "x" not found for "alice"'),
        ("user get nobody", 1, "Failed to get subject (not found)"),
        (f"user whois {login}", 0, "subject: alice\nnamespace: alice"),
        ("user whois a:b", 0, "Subject id is not recognized"),
        ("user list alice", 0, f"{login}\talice"),
        ("user list alice --key", 0, login),
        ("user list alice --pick 0", 2, "pick must be at least 1"),
        ("user list nowhere", 0, 'no identities found for namespace "nowhere"'),
        ("user block alice nobody1 nobody2", 2, '"alice" blocked successfully\nFailed to block "nobody1" (not found)\n'
                                               'Failed to block "nobody2" (not found)'),
        ("user unblock alice", 0, '"alice" unblocked successfully'),
        ("limits get alice", 0, "No limits found, default system limits apply"),
        ("limits set alice --maxActionMemory 256 --allowedKinds nodejs:20 blackbox --storeActivations no", 0,
         'Limits successfully set for "alice"'),
        ("limits get alice", 0,
         "allowedKinds = ['nodejs:20', 'blackbox']\nstoreActivations = False\nmaxActionMemory = 256"),
        ("limits delete alice", 0, "Limits deleted"),
        ("limits delete alice", 1, "Failed to delete limits (not found)"),
        ("user create alice -ns photos --silent", 0, None),
        ("user delete alice -ns photos", 0, "Namespace deleted"),
        ("user delete alice", 0, "Subject deleted"),
        ("user delete alice", 1, "Failed to delete subject (not found)"),
    ):  # fmt: skip
        done = await run(*arguments.split())
        assert (done.code, done.out) == (code, "" if out is None else out + "\n"), arguments
    throttled = await admin("admin", "limits", "set", "alice", "--firesPerMinute", "5", "--data", str(data))
    assert (throttled.code, throttled.out) == (0, 'Limits successfully set for "alice"\n')
    assert throttled.err.startswith("hint: ")
    assert throttled.err.endswith("not enforced yet.\n")


async def test_users_and_limits_of_a_running_platform(whole: Command, standalone: Running) -> None:
    await _user_commands(whole, standalone.data)


async def test_users_and_limits_of_a_stopped_platform(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with SQLiteStore(data):
        pass
    await _user_commands(Command(tmp_path), data)


async def test_a_new_user_may_call_at_once_until_blocked(whole: Command, standalone: Running) -> None:
    admin = ("--data", str(standalone.data))
    whole.key = (await whole("admin", "user", "create", "carol", *admin)).out.strip()
    assert (await whole("namespace", "list")).lines == ["namespaces", "carol"]
    assert (await whole("admin", "user", "block", "carol", *admin)).code == 0
    assert (await whole("namespace", "list")).code == 145


async def test_backup_of_a_running_platform_and_restore(whole: Command, standalone: Running, tmp_path: Path) -> None:
    standalone.deploy("kept", "def main(args):\n    return args\n")
    admin, target, elsewhere = ("--data", str(standalone.data)), tmp_path / "all.backup", tmp_path / "other"
    done = await whole("admin", "backup", target.name, *admin)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Backup written to {target} (")
    assert target.stat().st_mode & 0o777 == 0o600
    again = await whole("admin", "backup", target.name, *admin)
    assert (again.code, again.out) == (1, f"Failed to write the backup ('{target}' exists)\n")
    refused = await whole("admin", "restore", str(target), "--force", *admin)
    assert refused.code == 1
    assert refused.err.startswith(f"error: A platform runs on '{standalone.data}'\nhint: stop it first")
    restored = await whole("admin", "restore", str(target), "--data", str(elsewhere))
    assert (restored.code, restored.err) == (0, "")
    key = await whole("admin", "user", "get", "guest", "--data", str(elsewhere))
    assert key.out.strip() == standalone.key
    async with SQLiteStore(elsewhere, retention=RetentionSettings(max_age_s=0)) as store:
        assert await store.entities.get("guest/kept") is not None
    twice = await whole("admin", "restore", str(target), "--data", str(elsewhere))
    assert twice.code == 1
    assert "is not empty" in twice.err
    assert "hint: --force" in twice.err
    damaged = tmp_path / "damaged.backup"
    damaged.write_bytes(target.read_bytes()[:-5000])
    spoilt = await whole("admin", "restore", str(damaged), "--data", str(tmp_path / "third"))
    assert spoilt.code == 1
    assert "is damaged" in spoilt.err
    assert "--force" not in spoilt.err, "force would not help"
    assert (await whole("admin", "restore", str(target), "--data", str(elsewhere), "--force")).code == 0


async def test_a_folder_in_use_without_its_socket_is_told_clearly(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with SQLiteStore(data):
        done = await Command(tmp_path)("admin", "user", "get", "guest", "--data", str(data))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert str(data) in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("arguments", ["user get guest", "user create alice", "limits set alice --maxActionLogs 1", "backup b.db"])
async def test_no_command_makes_a_data_folder(tmp_path: Path, arguments: str) -> None:
    data = tmp_path / "none"
    done = await Command(tmp_path)("admin", *arguments.split(), "--data", str(data))
    assert done.code == 1
    assert done.err.startswith(f"error: There is no data folder '{data}'\nhint: ")
    assert not data.exists()


async def test_records_stay_whatever_their_age(tmp_path: Path) -> None:
    """An operator's look at the files is no reason to apply retention with other settings than the platform's."""
    data = tmp_path / "data"
    keep = RetentionSettings(max_age_s=0)
    async with SQLiteStore(data, retention=keep) as store:
        old = record(start=1000)
        await store.journal.settle(old)
    assert (await Command(tmp_path)("admin", "user", "list", "guest", "--data", str(data))).code == 0
    async with SQLiteStore(data, retention=keep) as store:
        assert await store.activations.get("guest", old.activation_id) is not None


@pytest.mark.parametrize(
    "arguments", ["user create", "user get", "user list", "limits set", "limits set ns --maxActionMemory x", "user block",
                  "limits set ns --storeActivations maybe", "host-setup", "backup"]
)  # fmt: skip
async def test_bad_arguments_end_with_2(tmp_path: Path, arguments: str) -> None:
    assert (await Command(tmp_path)("admin", *arguments.split())).code == 2


async def test_host_setup_names_what_is_wrong(tmp_path: Path) -> None:
    done = await Command(tmp_path)("admin", "host-setup", "--user", "no-such-user")
    assert done.code == 1
    assert done.err.startswith("error: there is no user 'no-such-user'\n")
