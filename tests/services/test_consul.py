"""The Consul that tests get."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import consul as py_consul
import pytest
from services.consul import Consul
from services.fixtures import started
from services.processes import naming

pytestmark = pytest.mark.external_service


def client(server: Consul, token: str | None) -> py_consul.Consul:
    url = urlsplit(server.url)
    verify = str(server.ca) if server.ca else True
    return py_consul.Consul(host=url.hostname, port=url.port, scheme=url.scheme, verify=verify, token=token)


async def test_what_was_put_is_there_after_kill_9() -> None:
    with started(Consul) as server:
        folder, url = server.folder, server.url
        with client(server, server.token) as used:
            assert used.kv.put("key", "value")
            server.kill()
            await asyncio.to_thread(server.restart)
            assert server.url == url
            assert used.kv.get("key")[1]["Value"] == b"value"
    assert naming(folder) == []
    assert not folder.exists()


def test_nothing_is_allowed_without_a_token(consul: Consul) -> None:
    with client(consul, None) as used, pytest.raises(py_consul.ACLPermissionDenied):
        used.kv.put("key", "value")


def test_it_speaks_tls() -> None:
    with started(lambda: Consul(tls=True)) as server:
        assert server.url.startswith("https://")
        with client(server, server.token) as used:
            assert used.kv.put("key", "value")
            assert used.kv.get("key")[1]["Value"] == b"value"
