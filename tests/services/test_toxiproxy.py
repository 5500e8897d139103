"""The proxy that cuts connections for tests."""

from __future__ import annotations

import time

import pytest
from services.asking import ask
from services.couchdb import Server, login
from services.toxiproxy import Proxy, Toxiproxy

pytestmark = pytest.mark.external_service
DELAY_MS = 200


def status(proxy: Proxy, server: Server) -> int:
    return ask(f"http://{proxy.address}/_all_dbs", headers=login(server.user, server.password), within_s=1.0)[
        0
    ]


def test_a_service_is_cut_off_and_comes_back(toxiproxy: Toxiproxy, couchdb: Server) -> None:
    proxy = toxiproxy.proxy("couchdb", couchdb.address.removeprefix("http://"))
    try:
        assert status(proxy, couchdb) == 200
        for harm in (proxy.cut, proxy.black_hole, proxy.reset):
            harm()
            assert status(proxy, couchdb) == 0
            proxy.heal()
            assert status(proxy, couchdb) == 200
    finally:
        proxy.remove()


def test_answers_are_delayed(toxiproxy: Toxiproxy, couchdb: Server) -> None:
    proxy = toxiproxy.proxy("late", couchdb.address.removeprefix("http://"))
    try:
        proxy.delay(DELAY_MS)
        began = time.monotonic()
        assert status(proxy, couchdb) == 200
        assert time.monotonic() - began >= DELAY_MS / 1000
    finally:
        proxy.remove()
