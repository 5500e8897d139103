"""An engine behind TCP and TLS, with client certificates: Docker's own `--tlsverify`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox.guests import leftovers, short_folder
from services.certificates import Authority
from services.docker_engine import DockerEngine
from services.fixtures import started

pytestmark = [pytest.mark.sandbox, pytest.mark.external_service, pytest.mark.timeout(240)]

ADDRESS = "tcp://127.0.0.1:2376"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ca.pem`, what it signed for the engine and the platform, and `other`, which a stranger signed."""
    folder = tmp_path_factory.mktemp("tls")
    ours, strangers = Authority(folder / "ours"), Authority(folder / "strangers", "stranger")
    shutil.copy(ours.ca, folder / "ca.pem")
    for name, authority in (("engine", ours), ("platform", ours), ("other", strangers)):
        signed = authority.sign(name)
        shutil.copy(signed.certificate, folder / f"{name}.pem")
        shutil.copy(signed.key, folder / f"{name}.key")
    return folder


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[DockerEngine]:
    options = ["--host", ADDRESS, "--tlsverify", "--tlscacert", str(folder / "ca.pem")]
    options += ["--tlscert", str(folder / "engine.pem"), "--tlskey", str(folder / "engine.key")]
    with started(lambda: DockerEngine(apart=True, options=options)) as engine:
        yield engine


def _attempt(engine: DockerEngine, folder: Path, client: str, address: str = ADDRESS) -> dict[str, object]:
    script = Path(__file__).with_name("over_tls.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with short_folder() as run_dir:
        inside = ["nsenter", f"--net=/proc/{engine.pid}/ns/net"]
        command = [*inside, sys.executable, str(script), str(folder), str(run_dir), address, client]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, env=environment
        )
    assert done.returncode == 0, done.stderr
    assert leftovers() == {}
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_images_are_built_and_guests_run_over_tls(engine: DockerEngine, folder: Path) -> None:
    assert _attempt(engine, folder, "platform") == {"result": 42}


def test_a_wrong_certificate_is_one_clear_error(engine: DockerEngine, folder: Path) -> None:
    refused = str(_attempt(engine, folder, "other")["refused"])
    assert "docker.cert_file" in refused
    assert "\n" not in refused


def test_a_missing_file_names_its_setting(engine: DockerEngine, folder: Path) -> None:
    assert "docker.cert_file" in str(_attempt(engine, folder, "nobody")["refused"])
