"""The Docker engine that tests get."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import docker
import pytest
from services.docker_engine import DockerEngine
from services.fixtures import started
from services.processes import naming
from services.waiting import until

pytestmark = pytest.mark.external_service
IMAGE = "upwhisk-test/sleep"


def sleeper() -> bytes:
    """An image's files: one program of this host, with the libraries it loads."""
    program = shutil.which("sleep")
    assert program is not None
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=True, timeout=10).stdout
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(Path(program).resolve(), "sleep")
        for library in re.findall(r"(/\S+)", listing):
            tar.add(Path(library).resolve(), library.lstrip("/"))
    return packed.getvalue()


def test_containers_outlive_a_killed_engine_and_nothing_outlives_a_stopped_one() -> None:
    with started(DockerEngine) as engine:
        folder, runtime, data = engine.folder, engine.runtime, engine.data
        client = docker.DockerClient(base_url=engine.host, timeout=30)
        try:
            client.api.import_image_from_data(sleeper(), repository=IMAGE)
            container = client.containers.run(IMAGE, ["/sleep", "1000"], detach=True)
            pid = client.api.inspect_container(container.id)["State"]["Pid"]
            engine.kill()
            assert Path(f"/proc/{pid}").exists()
            engine.restart()
            state = client.api.inspect_container(container.id)["State"]
            assert (state["Status"], state["Pid"]) == ("running", pid)
            engine.kill()  # `stop` has to cope with a dead engine
        finally:
            client.close()
    assert not Path(f"/proc/{pid}").exists()
    assert naming(folder) == []
    assert until(lambda: naming(runtime) == [], 15.0, 0.05), naming(runtime)  # shims end after their engine
    assert not folder.exists()
    mounts = Path("/proc/mounts").read_text()
    assert str(runtime) not in mounts
    assert str(data) not in mounts


def test_images_stay_from_one_engine_to_the_next(docker_host: str) -> None:
    client = docker.DockerClient(base_url=docker_host, timeout=30)
    try:
        client.api.import_image_from_data(sleeper(), repository=IMAGE)
        assert client.images.get(IMAGE).id.startswith("sha256:")
    finally:
        client.close()
