"""The npm package `openwhisk`, unmodified, against a real platform. What it asks is in `js/*.test.js`."""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
from clients import node_packages
from fakes.running import Running

pytestmark = pytest.mark.sandbox
PROJECT = Path(__file__).parent / "js"
WITHIN_S = 110
PACKAGED = 'exports.main = require("./greet.js")'
GREET = 'module.exports = ({ name }) => ({ greeting: "Hello " + name + " from an archive" })'


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Node project as a zip file."""
    path = tmp_path_factory.mktemp("archive") / "action.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("package.json", '{"main": "index.js"}')
        made.writestr("index.js", PACKAGED)
        made.writestr("greet.js", GREET)
    return path


@pytest.mark.parametrize(
    "topic", sorted(file.name.removesuffix(".test.js") for file in PROJECT.glob("*.test.js"))
)
def test_topic(standalone: Running, archive: Path, topic: str) -> None:
    packages = node_packages.installed(PROJECT)
    given = {
        "NODE_PATH": str(packages),
        "UPWHISK_TEST_URL": standalone.url,
        "UPWHISK_TEST_KEY": standalone.key,
        "UPWHISK_TEST_ZIP": str(archive),
    }
    inherited = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", f"{topic}.test.js"],
        cwd=PROJECT,
        env={**inherited, **given},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert passed is not None, done.stdout
    assert int(passed[1]) > 0, done.stdout
