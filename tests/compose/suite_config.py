"""All combinations of the Compose files, read by the tool itself: `make test-compose`."""

from __future__ import annotations

import json

import pytest
from compose.files import COMBINATIONS, services
from compose.stack import Stack

pytestmark = pytest.mark.external_service


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    return Stack(tmp_path_factory.mktemp("config"), "unix:///nobody")


@pytest.mark.parametrize("files", COMBINATIONS, ids=str)
def test_the_tool_takes_it_and_sees_what_we_see(stack: Stack, files: tuple[str, ...]) -> None:
    resolved = json.loads(stack.compose(files, "--profile", "*", "config", "--format", "json"))
    expected = services(files)
    assert resolved["services"].keys() == expected.keys()
    for name, service in resolved["services"].items():
        assert service["image"] == expected[name]["image"]
        for port in service.get("ports", ()):
            assert port["host_ip"] == "127.0.0.1"
        for key, value in (service.get("environment") or {}).items():
            assert value is not None, f"{name}: {key} is taken from whoever calls"
    assert all(network.get("internal") for name, network in resolved["networks"].items() if name in ("data", "api"))


