"""Kafka: one node in KRaft mode, from its jars."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from services.cache import digest, kept, place
from services.certificates import Authority
from services.commands import have, run
from services.errors import Unavailable
from services.kafka_wire import broker_serves
from services.service import Service

RECIPE = Path(__file__).parent / "build/kafka"
PROGRAMS = {"java": "default-jre-headless", "mvn": "maven"}
_FETCH_S = 300.0
_FORMAT_S = 60.0
_CLUSTER = "upwhisk-for-tests-0000"
_HEAP = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-Xshare:auto")
_BRIEF = "-XX:TieredStopAtLevel=1"


@dataclass(frozen=True, slots=True)
class Users:
    """Who may log in at the TLS listener, name to password, by mechanism. With `administrators` only they may do anything
    that no access rule allows."""

    plain: dict[str, str]
    scram: dict[str, str]
    administrators: tuple[str, ...] = ()


def prepare() -> Path:
    """Fetch the jars, and make what saves some seconds at each start: loaded classes, an empty store."""
    jars = kept("kafka", digest(RECIPE), _fetch)
    kept("kafka-classes", _classes_key(jars), lambda folder: _dump_classes(folder / "classes.jsa"))
    kept("kafka-formatted", digest(RECIPE), lambda folder: Kafka().format(folder))
    return jars


def _fetch(folder: Path) -> None:
    pom = RECIPE / "pom.xml"
    options = ("-DincludeScope=runtime", f"-DoutputDirectory={folder}")
    run("mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", *options, within_s=_FETCH_S, tries=3)


def _classes_key(jars: Path) -> str:
    return digest(str(jars), run("java", "-version", within_s=_FORMAT_S))


def _dump_classes(archive: Path) -> None:
    """The virtual machine writes the archive when a broker that served ends."""
    with Kafka(_archive=[f"-XX:ArchiveClassesAtExit={archive}"]) as broker:
        broker.terminate(_FORMAT_S)
    if not archive.exists():
        raise Unavailable("the class archive of Kafka was not written")


class Kafka(Service):
    """`bootstrap` is open, as between brokers; with `users` there is `secure` too: SASL over TLS, trusting `ca`. `lasting`: its
    code is compiled as that of a broker in earnest, which costs 20 s of CPU and halves that of each request from then on."""

    name: ClassVar[str] = "kafka"
    port_count: ClassVar[int] = 3

    def __init__(self, users: Users | None = None, *, lasting: bool = False, _archive: list[str] | None = None) -> None:
        super().__init__()
        self._pace = [] if lasting else [_BRIEF]
        self._users = users
        self._jars = place("kafka", digest(RECIPE))
        if not self._jars.is_dir():
            raise Unavailable("kafka is not prepared: run scripts/services prepare kafka")
        if _archive is None:
            archive = place("kafka-classes", _classes_key(self._jars)) / "classes.jsa"
            _archive = [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []
        self._archive = _archive

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.ports[0]}"

    @property
    def secure(self) -> str:
        return f"localhost:{self.ports[2]}"

    @property
    def ca(self) -> Path:
        return self.folder / "tls/ca.pem"

    def _configure(self, folder: Path) -> None:
        lines = _PROPERTIES.format(controller=self.ports[1], log=folder / "data")
        if self._users is not None:
            keystore = Authority(folder / "tls").sign("kafka").bundle
            lines += _secure_properties(self.ports[2], keystore, self._users)
        listeners = self._listeners()
        lines += f"listeners={','.join([*listeners, f'CONTROLLER://127.0.0.1:{self.ports[1]}'])}\n"
        lines += f"advertised.listeners={','.join(listeners)}\n"
        properties = folder / "server.properties"
        properties.touch(mode=0o600)
        properties.write_text(lines)
        formatted = place("kafka-formatted", digest(RECIPE)) / "data"
        if self._users is None and formatted.is_dir():
            shutil.copytree(formatted, folder / "data", dirs_exist_ok=True)
        else:
            self._format(properties)

    def format(self, folder: Path) -> None:
        """An empty store in `folder`/data; nothing in it depends on ports or paths."""
        properties = folder / "server.properties"
        lines = _PROPERTIES.format(controller=2, log=folder / "data")
        properties.write_text(f"{lines}listeners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2\n")
        self._format(properties)

    def _reading(self) -> list[str]:
        """The class archive, where there is one to read."""
        return [option for option in self._archive if "SharedArchiveFile" in option]

    def _listeners(self) -> list[str]:
        found = [f"PLAINTEXT://{self.bootstrap}"]
        return found if self._users is None else [*found, f"CLIENT://{self.secure}"]

    def _format(self, properties: Path) -> None:
        scram = self._users.scram.items() if self._users is not None else ()
        accounts = [f"SCRAM-SHA-256=[name={name},password={password}]" for name, password in scram]
        options = [word for account in accounts for word in ("--add-scram", account)]
        command = [*self._java(self._reading()), "kafka.tools.StorageTool", "format", "--ignore-formatted"]
        run(*command, "-t", _CLUSTER, "-c", properties, *options, within_s=_FORMAT_S)

    def _command(self, folder: Path) -> list[str]:
        return [*self._java(self._archive), "kafka.Kafka", str(folder / "server.properties")]

    def _java(self, options: list[str]) -> list[str]:
        paths = ":".join(str(jar) for jar in sorted(self._jars.glob("*.jar")))
        log = f"-Dlog4j2.configurationFile=file:{RECIPE / 'log4j2.yaml'}"
        return [have("java"), *_HEAP, *self._pace, *options, log, "-cp", paths]

    def _ready(self) -> bool:
        return broker_serves(self.ports[0])


def _secure_properties(port: int, keystore: Path, users: Users) -> str:
    logins = " ".join(f'user_{name}="{password}"' for name, password in users.plain.items())
    lines = _SECURE.format(keystore=keystore, logins=logins)
    if users.administrators:
        names = ";".join(f"User:{name}" for name in ("ANONYMOUS", *users.administrators))
        lines += f"authorizer.class.name={_AUTHORIZER}\nsuper.users={names}\n"
    return lines


_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENT:SASL_SSL
log.dirs={log}
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=200
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=2097152
"""

_AUTHORIZER = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
_SECURE = """\
sasl.enabled.mechanisms=SCRAM-SHA-256,PLAIN
listener.name.client.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.client.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required {logins};
listener.name.client.ssl.keystore.type=PEM
listener.name.client.ssl.keystore.location={keystore}
listener.name.client.ssl.truststore.type=PEM
listener.name.client.ssl.truststore.location={keystore}
"""
