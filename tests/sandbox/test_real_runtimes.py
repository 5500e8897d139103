"""The runtimes that ship, in real sandboxes: every kind that this host can run answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sandbox.guests import INSTANCES

from upwhisk.common.ids import new_instance_id
from upwhisk.common.spi.containers import SENTINEL, ContainerSpec
from upwhisk.invoker.containers.bounds import NetworkSettings
from upwhisk.invoker.containers.process import ProcessFactory
from upwhisk.runtimes.discover import discover
from upwhisk.runtimes.installation import RuntimeInstallation, install

pytestmark = pytest.mark.sandbox

_CODE = {
    "python": "import ssl, uuid\ndef main(a):\n    print('said')\n    return {'hello': a['n'], 'random': ssl.RAND_bytes(8).hex() + str(uuid.uuid4())}",
    "nodejs": "function main(a) { console.log('said'); return {hello: a.n, random: require('crypto').randomBytes(8).toString('hex')}; }",
    "native": '#!/bin/sh\necho said\necho "{\\"hello\\": $(echo "$1" | sed \'s/.*"n": *\\([0-9]*\\).*/\\1/\'), \\"random\\": \\"$(od -An -N8 -tx1 /dev/urandom | tr -d " \\n")\\"}"',
}
_RUN = json.dumps({"value": {"n": 7}, "activation_id": "0123456789abcdef0123456789abcdef"}).encode()


def _installed() -> list[RuntimeInstallation]:
    found = discover()
    kinds = (
        [f"python:{a}.{b}" for a, b in sorted(found.pythons)]
        + [f"nodejs:{major}" for major in found.nodes]
        + ["blackbox"]
    )
    return [one for one in (install(kind, found) for kind in kinds) if one is not None]


async def test_every_kind_answers(run_dir: Path) -> None:
    installations = _installed()
    assert {"python", "native"} <= {one.family for one in installations}
    instance = new_instance_id()
    INSTANCES.add(instance)
    async with ProcessFactory(
        instance, run_dir, installations, network=NetworkSettings(outbound=False)
    ) as factory:
        for one in installations:
            drawn = {await _hello(factory, one) for _ in range(2)}
            assert len(drawn) == 2, one.kind


async def _hello(factory: ProcessFactory, one: RuntimeInstallation) -> str:
    container = await factory.create(ContainerSpec(one.kind, 256))
    code = {"name": "hello", "main": "main", "code": _CODE[one.family], "binary": False, "env": {}}
    begun = await container.post(
        "/init", json.dumps({"value": code}).encode(), timeout_s=30, max_answer=10_000
    )
    assert begun.status == 200, (one.kind, begun.body, container.read_logs())
    answer = await container.post("/run", _RUN, timeout_s=30, max_answer=10_000)
    assert answer.status == 200, (one.kind, answer.body, container.read_logs())
    result = json.loads(answer.body)
    assert result["hello"] == 7, one.kind
    written = b"".join(chunk.data for chunk in container.read_logs() if chunk.stream == "stdout").decode()
    assert written.startswith("said\n"), one.kind
    assert SENTINEL in written, one.kind
    await container.destroy()
    assert result["random"]
    return str(result["random"])
