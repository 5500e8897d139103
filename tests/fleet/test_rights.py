"""What the logins of a fleet's processes may do in real services after `upwhisk init`, and what not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from fakes.couch import asking, fresh
from fakes.samples import document
from fakes.until import until
from services.consul import Consul
from services.couchdb import Server
from services.fixtures import started
from services.kafka import Kafka, Users

from upwhisk.backends.bus.kafka import KafkaBus
from upwhisk.backends.nodes.consul import ConsulRegistry
from upwhisk.backends.store.couchdb import CouchStore
from upwhisk.common.errors import ConfigurationError, StoreUnavailable, Unavailable
from upwhisk.common.forms import Received
from upwhisk.common.ids import ActivationId, NodeId
from upwhisk.common.messages import Begun
from upwhisk.common.model.identity import NamespaceKey, Subject
from upwhisk.common.settings import ConsulSettings, CouchDBSettings, KafkaSettings
from upwhisk.common.spi.bus import Delivery, controller_topic, node_topic
from upwhisk.common.spi.nodes import NodeReport
from upwhisk.common.spi.roles import Role

pytestmark = [pytest.mark.external_service, pytest.mark.timeout(180)]

ROLES: tuple[Role, ...] = ("controller", "node")
PASSWORDS = {name: f"{name}-password" for name in ("admin", "controller", "node")}
ANNA = Subject("anna.m", (NamespaceKey("anna.m", "u-1", "s3cr3t" * 11),))
MESSAGE = Begun(activation_id=ActivationId("a" * 32), node=NodeId("n1"), attempt=1)


@dataclass(frozen=True)
class Broker:
    """`users`: settings by login."""

    users: dict[str, KafkaSettings]

    async def granted(self) -> None:
        for role in ROLES:
            await KafkaBus.grant(self.users["admin"], self.users[role], role)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("kafka")
    with started(lambda: Kafka(Users({}, PASSWORDS, administrators=("admin",)))) as kafka:
        yield Broker({name: _login(kafka, folder, name) for name in PASSWORDS})


def _login(kafka: Kafka, folder: Path, name: str) -> KafkaSettings:
    file = folder / name
    file.write_text(PASSWORDS[name])
    return KafkaSettings(
        bootstrap=(kafka.secure,), security="sasl_ssl", user=name, password_file=str(file), ca_file=str(kafka.ca)
    )


async def test_without_rules_a_login_may_nothing(broker: Broker) -> None:
    async with KafkaBus(msgspec.structs.replace(broker.users["controller"], prefix="foreign-")) as bus:
        with pytest.raises(Unavailable):
            await bus.send(controller_topic("c1"), MESSAGE)


async def test_a_node_reads_its_topic_and_writes_to_logs(broker: Broker) -> None:
    await broker.granted()
    await broker.granted()  # repeatable
    taken: list[Received] = []

    def deliver(delivery: Delivery) -> None:
        taken.append(delivery.message)
        delivery.done()

    async with KafkaBus(broker.users["controller"]) as controller, KafkaBus(broker.users["node"]) as node:
        own = node.subscribe(node_topic("n1"), deliver, credits=10)
        await own.start()
        log = controller.subscribe(controller_topic("c1"), deliver, credits=10)
        await log.start()
        await controller.send(node_topic("n1"), MESSAGE)
        await node.send(controller_topic("c1"), MESSAGE)
        await until(lambda: len(taken) == 2)
        await node.send(controller_topic("c2"), MESSAGE)  # a late answer, and the log is gone
        await controller.remove_topic(controller_topic("c2"))
        with pytest.raises(Unavailable):
            await node.remove_topic(controller_topic("c1"))
        with pytest.raises(Unavailable):
            await node.subscribe(controller_topic("c1"), deliver, credits=1).start()
        assert len(taken) == 2
        await own.aclose()
        await log.aclose()
        await controller.remove_topic(controller_topic("c1"))
        assert await controller.topics("completed-") == ()


async def test_only_a_super_user_gives_rights_in_kafka(broker: Broker) -> None:
    with pytest.raises(Unavailable, match="access rule"):
        await KafkaBus.grant(broker.users["controller"], broker.users["node"], "node")
    with pytest.raises(ConfigurationError, match=r"kafka\.user"):
        await KafkaBus.grant(broker.users["admin"], msgspec.structs.replace(broker.users["node"], user=""), "node")
    said = await KafkaBus.grant(KafkaSettings(), broker.users["node"], "node")
    assert "without users" in said


def _token(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text + "\n")
    return str(folder / name)


async def test_tokens_of_consul(consul: Consul, tmp_path: Path) -> None:
    secrets: dict[Role, str] = {"controller": "11111111-0000-4000-8000-000000000001", "node": "11111111-0000-4000-8000-000000000002"}
    manager = ConsulSettings(url=consul.url, token_file=_token(tmp_path, "manager", consul.token), prefix="rights")
    users = {
        role: msgspec.structs.replace(manager, token_file=_token(tmp_path, role, secret)) for role, secret in secrets.items()
    }
    with pytest.raises(ConfigurationError, match=r"consul\.token_file"):
        await ConsulRegistry(users["node"]).start()
    for _ in range(2):
        for role in ROLES:
            assert "policy" in await ConsulRegistry.grant(manager, users[role], role)
    report = NodeReport(node=NodeId("n1"), memory_mb=1, cores=1)
    async with ConsulRegistry(users["controller"]) as controller, ConsulRegistry(users["node"]) as node:
        await node.heartbeat(report, ttl_s=10)
        assert [each.node for each in await controller.nodes()] == ["n1"]
        claim = await controller.claim("logs/a", "c1", ttl_s=10)
        assert claim is not None
        await controller.put_flag("drain/n1", "why")
        assert await node.flag("drain/n1") == "why"
        with pytest.raises(Unavailable):
            await node.put_flag("drain/n1", None)
        with pytest.raises(Unavailable):
            await node.claim("logs/b", "n1", ttl_s=10)
        await claim.release()
        await node.leave(NodeId("n1"))
        await controller.put_flag("drain/n1", None)
    with pytest.raises(Unavailable):
        await ConsulRegistry.grant(users["controller"], users["node"], "node")


async def test_users_of_couchdb(couchdb: Server, tmp_path: Path) -> None:
    async with fresh(couchdb, tmp_path) as administrator:
        users: dict[Role, CouchDBSettings] = {}
        for role in ROLES:
            password = tmp_path / role
            password.write_text(f"{role}-password\n")
            name = f"{administrator.prefix}{role}"
            users[role] = msgspec.structs.replace(administrator, user=name, password_file=str(password))
        for _ in range(2):
            for role in ROLES:
                await CouchStore.grant(administrator, users[role], role)
        for role in ROLES:
            async with CouchStore(users[role]) as store:
                assert store.accepts_work() is None
                await _check_writes(store, role)
        names = {role: users[role].user for role in users}
        async with asking(couchdb) as client:
            for database, keepers in (("activations", [names["controller"]]), ("whisks", [])):
                async with client.get(f"/{administrator.prefix}{database}/_security") as answer:
                    rights = await answer.json(content_type=None)
                assert sorted(rights["members"]["names"]) == sorted(names.values())
                assert rights["admins"]["names"] == keepers
            for name in names.values():
                async with client.get(f"/_users/org.couchdb.user:{name}") as answer:
                    revision = (await answer.json(content_type=None))["_rev"]
                async with client.delete(f"/_users/org.couchdb.user:{name}?rev={revision}") as answer:
                    assert answer.status == 200
        with pytest.raises(ConfigurationError, match=r"couchdb\.user"):
            await CouchStore.grant(administrator, msgspec.structs.replace(users["node"], user=""), "node")
        assert "is the administrator" in await CouchStore.grant(administrator, administrator, "node")


async def _check_writes(store: CouchStore, role: Role) -> None:
    """A node reads what controllers write, and changes none of it. The stand-in asks the guard as CouchDB does, with the user's roles."""
    if role == "controller":
        assert await store.entities.put(document())
        await store.subjects.put(ANNA)
        return
    found = await store.entities.get("guest/hello")
    assert found is not None
    assert found.revision is not None
    assert await store.subjects.by_uuid("u-1") == ANNA
    for change in (
        store.entities.put(document("mine")),
        store.entities.put(document(revision=found.revision)),
        store.entities.delete("guest/hello", found.revision),
        store.subjects.put(Subject("anna.m", ())),
    ):
        with pytest.raises(StoreUnavailable, match=r"nodes read here, and do not write|a delete: forbidden"):
            await change
    assert await store.entities.get("guest/hello") == found


async def test_a_deadline_bounds_a_broker_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("x")
    away = KafkaSettings(bootstrap=("127.0.0.1:9",), security="sasl_plaintext", user="admin", password_file=str(file))
    async with asyncio.timeout(30):
        with pytest.raises(ConfigurationError, match=r"kafka\.bootstrap"):
            await KafkaBus.grant(away, msgspec.structs.replace(away, user="node"), "node")


