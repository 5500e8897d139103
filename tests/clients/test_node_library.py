"""Packages that the node's owner gives to every Node guest: the npm client `openwhisk` inside an action."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clients import node_packages
from fakes.running import Running

pytestmark = pytest.mark.sandbox
PROJECT = Path(__file__).parent / "js"
CALLER = """
const openwhisk = require('openwhisk');
async function main({ n }) {
  const answer = await openwhisk().actions.invoke({ name: 'callee', blocking: true, result: true, params: { n } });
  return { answer, listed: (await openwhisk().actions.list()).map((one) => one.name).sort() };
}
"""
WRITER = """
function main() {
  try { require('fs').writeFileSync('/node_modules/x', ''); } catch (error) { return { code: error.code }; }
  return { code: 'written' };
}
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = node_packages.installed(PROJECT).parent
    settings = {"UPWHISK_GUEST_NODE_LIBRARY": str(folder)}
    running = Running(tmp_path_factory.mktemp("library") / "data", settings).start()
    yield running
    assert running.stop() == 0


def test_a_guest_calls_the_platform_with_the_client(platform: Running) -> None:
    platform.deploy("callee", "const main = ({ n }) => ({ n: n * 2 })", "nodejs:20")
    key = [{"key": "provide-api-key", "value": True}]
    platform.deploy("caller", CALLER, "nodejs:20", annotations=key)
    status, record = platform.invoke("caller", {"n": 21})
    assert status == 200, record
    assert record["response"]["result"] == {"answer": {"n": 42}, "listed": ["callee", "caller"]}


def test_nobody_can_change_it(platform: Running) -> None:
    platform.deploy("writer", WRITER, "nodejs:20")
    status, record = platform.invoke("writer")
    assert (status, record["response"]["result"]) == (200, {"code": "EROFS"}), record


def test_a_folder_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    running = Running(tmp_path / "data", {"UPWHISK_GUEST_NODE_LIBRARY": str(tmp_path)})
    with pytest.raises(AssertionError, match=r"guest\.node_library"):
        running.start()
