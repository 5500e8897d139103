"""The short form of `make chaos`: four faults under load on a whole fleet, in namespaces of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from services.consul import Consul
from services.couchdb import PouchDB
from services.errors import Unavailable
from services.fixtures import missing
from services.kafka import Kafka

ROOT = Path(__file__).resolve().parents[2]
KINDS = "controller killed,invoker killed,kafka restarted,couchdb killed"

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.external_service,
    pytest.mark.skipif(os.geteuid() != 0, reason="guests reach the harness by the network outbound, which needs root"),
    pytest.mark.skipif(not all(map(shutil.which, ("unshare", "ip", "nft", "iptables"))), reason="needs unshare, ip, nft, iptables"),
]


@pytest.mark.timeout(420)
def test_nothing_that_was_accepted_is_lost() -> None:
    try:
        for service in (Kafka, Consul, PouchDB):
            service()
    except Unavailable as error:
        missing(error)
    command = [sys.executable, str(ROOT / "scripts/storm.py"), "--rounds", "1", "--only", KINDS, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    figures = json.loads(done.stdout)
    assert figures["violations"] == []
    assert figures["faults"] == dict.fromkeys(KINDS.split(","), 1)
    assert figures["in_recovery"] >= 1
    assert figures["ids"] > 200
    assert figures["ends"]["success"] > 200
