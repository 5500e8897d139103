"""The short form of `make test-crash`: one round with each victim, in namespaces of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(os.geteuid() != 0, reason="guests reach the harness by the network outbound, which needs root"),
    pytest.mark.skipif(not all(map(shutil.which, ("unshare", "ip", "nft"))), reason="needs unshare, ip and nft"),
]


@pytest.mark.timeout(180)
def test_accepted_means_durable_and_one_record_each() -> None:
    command = [sys.executable, str(ROOT / "scripts/crash_rounds.py"), "--rounds", "4", "--ids", "120", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    figures = json.loads(done.stdout)
    assert figures["violations"] == []
    assert figures["fewest_ids"] >= 120
    assert figures["kills"]["platform"] >= 4
    for victim in ("in recovery", "guest", "zygote"):
        assert figures["kills"][victim] >= 1
    assert figures["unseen"] == 0, "every successful run was counted"
    assert figures["effects sent again"] <= figures["effects"] / 50, "guests that come and go cost the others their network"
    assert figures["effects"] > figures["ids"] / 2
    assert figures["ends"]["started, not run again"] > 0, "no kill met running work"
