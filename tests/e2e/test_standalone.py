"""How the platform starts, keeps its data, and says what is wrong."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.running import Running

pytestmark = pytest.mark.sandbox
Platforms = Callable[..., Running]
GIVEN = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:" + "k" * 64


def refused(data: Path, *arguments: str, **environment: str) -> str:
    """Start it where it must not start; returns what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "upwhisk.cli", "standalone", "--port", "0", "--data", str(data), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **environment},
    )
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    return done.stderr


def test_first_start_makes_a_key_and_a_second_keeps_everything(platforms: Platforms, tmp_path: Path) -> None:
    platform = platforms().start()
    said = platform.log.read_text()
    assert f"shown this once): {platform.key}" in said
    assert f"export WSK_CONFIG_FILE={tmp_path}/data/.wskprops" in said
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "data/.wskprops").stat().st_mode) == 0o600
    for file in (tmp_path / "data").rglob("*"):
        assert not file.stat().st_mode & 0o077 or file.is_socket(), file
        if file.is_file() and file.name != ".wskprops":
            assert platform.key.partition(":")[2].encode() not in file.read_bytes(), f"{file} shows the key"
    platform.deploy("kept", "def main(a):\n    return {'kept': True}")
    id_ = platform.invoke("kept")[1]["activationId"]
    first_key = platform.key
    assert platform.stop() == 0
    platform.start()
    assert platform.key == first_key
    assert platform.log.read_text().count("shown this once") == 1
    assert platform.record(id_)["response"]["result"] == {"kept": True}
    assert platform.invoke("kept", None, "blocking=true&result=true") == (200, {"kept": True})
    assert platform.stop() == 0


def test_a_first_start_that_fails_leaves_the_key_to_the_second(platforms: Platforms, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = refused(tmp_path / "data", "--port", str(taken.getsockname()[1]))
    assert "shown this once" not in said
    platform = platforms("data", {}).start()
    assert f"shown this once): {platform.key}" in platform.log.read_text()


def test_given_keys(platforms: Platforms, tmp_path: Path) -> None:
    platform = platforms("data", {"UPWHISK_AUTH": GIVEN}).start()
    assert platform.key == GIVEN
    assert platform.call("GET", "") == (200, ["guest"])
    assert platform.stop() == 0
    other = GIVEN.replace("k" * 64, "m" * 64)
    (tmp_path / "key").write_text(other + "\n")
    platform = platforms("data", {}, "--auth-file", str(tmp_path / "key")).start()
    assert platform.key == other
    assert platform.call("GET", "")[0] == 200
    assert platform.call("GET", "", key=GIVEN)[0] == 401
    assert GIVEN.partition(":")[2] not in Path(f"/proc/{platform.process.pid}/cmdline").read_text()  # type: ignore[union-attr]
    assert platform.stop() == 0


def test_one_data_folder_one_instance(platforms: Platforms, tmp_path: Path) -> None:
    platform = platforms().start()
    said = refused(tmp_path / "data")
    assert str(platform.process.pid) in said  # type: ignore[union-attr]
    assert platform.call("GET", "//ping") == (200, "pong")
    assert platform.stop() == 0


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"UPWHISK_SERVER_PROT": "1"}, "UPWHISK_SERVER_PROT: no such setting"),
        ({"UPWHISK_POOL_FREEZE_AFTER_S": "soon"}, "pool.freeze_after_s"),
        ({"UPWHISK_STORE_DURABILITY": "maybe"}, "store.durability"),
        ({"UPWHISK_PLUGINS_BUS": "kafka"}, "plugins.bus: 'kafka' is for a fleet"),
        ({"UPWHISK_PLUGINS_STORE": "oracle"}, "plugins.store: 'oracle' is unknown; available: couchdb, memory, sqlite"),
        ({"UPWHISK_PLACEMENT_POLICY": "luck"}, "placement.policy"),
        ({"UPWHISK_AUTH": "me:secret"}, "UPWHISK_AUTH: the part before ':' is not a UUID"),
        ({"UPWHISK_SERVER_HOST": "0.0.0.0"}, "--insecure-http"),
        ({"UPWHISK_SERVER_HOST": "192.0.2.77", "UPWHISK_SERVER_INSECURE_HTTP": "true"}, "192.0.2.77"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_wrong_settings_name_themselves(tmp_path: Path, environment: dict[str, str], says: str) -> None:
    assert says in refused(tmp_path / "data", **environment)


def test_a_settings_file(platforms: Platforms, tmp_path: Path) -> None:
    file = tmp_path / "upwhisk.toml"
    file.write_text("[limits]\nsequence_length = 3\n[limits.memory]\nmin = 64\ndefault = 128\nmax = 512\n")
    platform = platforms("data", {}, "--config", str(file)).start()
    platform.deploy("small", "def main(a):\n    return {}", limits={"memory": 64})
    assert platform.call("GET", "//")[1]["limits"]["sequence_length"] == 3
    assert platform.stop() == 0
    file.write_text("[server]\nprot = 1\n")
    assert "server" in refused(tmp_path / "other", "--config", str(file))
    assert "cannot read" in refused(tmp_path / "other", "--config", str(tmp_path / "none.toml"))


def test_a_port_in_use(platforms: Platforms, tmp_path: Path) -> None:
    platform = platforms().start()
    port = platform.url.rpartition(":")[2]
    said = refused(tmp_path / "other", "--port", port)
    assert "address" in said.lower()
    assert port in said
    assert platform.stop() == 0


def test_retention_by_count(platforms: Platforms, tmp_path: Path) -> None:
    platform = platforms(
        "data", {"UPWHISK_RETENTION_MAX_RECORDS": "5", "UPWHISK_RETENTION_INTERVAL_S": "0.2"}
    ).start()
    platform.deploy("many", "def main(a):\n    return {}")
    for _ in range(20):
        assert platform.invoke("many")[0] == 200
    for _ in range(500):
        if platform.call("GET", "/_/activations?count=true")[1] == {"activations": 5}:
            break
    assert platform.call("GET", "/_/activations?count=true")[1] == {"activations": 5}
    assert platform.stop() == 0


def test_information(platforms: Platforms, tmp_path: Path) -> None:
    platform = platforms().start()
    assert platform.call("GET", "//ping") == (200, "pong")
    root = platform.call("GET", "//")[1]
    assert any(kind["default"] for kind in root["runtimes"]["python"])
    assert platform.call("GET", "//api/v1")[1]["api_version"] == "1.0.0"
    assert platform.call("GET", "//health")[1]["status"] == "ok"
    assert "upwhisk_http_requests_total" in platform.call("GET", "//metrics")[1]
    assert platform.call("GET", "//invokers")[1] == {"invoker0/0": "up"}
    assert platform.stop() == 0


def test_preinstalled_packages(platforms: Platforms, tmp_path: Path) -> None:
    library = tmp_path / "library"
    (library / "shared_word").mkdir(parents=True)
    (library / "shared_word/__init__.py").write_text("WORD = 'preinstalled'")
    platform = platforms("data", {"UPWHISK_GUEST_PYTHON_LIBRARY": str(library)}).start()
    platform.deploy("uses", "import shared_word\ndef main(a):\n    return {'word': shared_word.WORD}")
    assert platform.invoke("uses", None, "blocking=true&result=true") == (200, {"word": "preinstalled"})
    assert platform.stop() == 0
    assert "guest.python_library" in refused(tmp_path / "other", UPWHISK_GUEST_PYTHON_LIBRARY="/nonexistent")
