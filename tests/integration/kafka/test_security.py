"""Logging in and TLS; what goes wrong names its setting and gives no secret away."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.consumer import Consumer, subscribed
from fakes.samples import message
from fakes.until import until
from integration.kafka.conftest import USERS
from services.kafka import Kafka

from upwhisk.backends.bus.kafka import KafkaBus
from upwhisk.backends.bus.kafka.deadlines import Deadlines
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.settings import KafkaSettings

pytestmark = pytest.mark.external_service
QUICK = Deadlines(start=3.0, answer=1.0)


def settings(broker: Kafka, tmp_path: Path, **more: object) -> KafkaSettings:
    """Those of alice, who may log in; `password` is written to her file."""
    password = tmp_path / "password"
    password.write_text(f"{more.pop('password', USERS.scram['alice'])}\n")
    values = {
        "bootstrap": (broker.secure,),
        "prefix": f"{tmp_path.name}-",
        "security": "sasl_ssl",
        "user": "alice",
        "password_file": str(password),
        "ca_file": str(broker.ca),
        **more,
    }
    return KafkaSettings(**values)  # type: ignore[arg-type]


async def refused(configuration: KafkaSettings) -> str:
    bus = KafkaBus(configuration, QUICK)
    with pytest.raises(ConfigurationError) as refusal:
        await bus.start()
    return str(refusal.value)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN"])
async def test_users_log_in_over_tls(secure_broker: Kafka, tmp_path: Path, mechanism: str) -> None:
    user = {} if mechanism != "PLAIN" else {"user": "bob", "password": USERS.plain["bob"]}
    consumer, sent = Consumer(finishes=True), message()
    async with KafkaBus(settings(secure_broker, tmp_path, mechanism=mechanism, **user)) as bus:
        await subscribed(bus, consumer, credits=2)
        await bus.send("t", sent)
        await until(lambda: consumer.messages == [sent])


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN"])
async def test_a_wrong_password_is_one_clear_error(
    secure_broker: Kafka, tmp_path: Path, mechanism: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = await refused(settings(secure_broker, tmp_path, mechanism=mechanism, password="guessed-it"))
    assert text.startswith("setting kafka.user, kafka.password_file: the broker refuses user 'alice'")
    said = capsys.readouterr()
    assert "guessed-it" not in text + said.out + said.err


async def test_a_stranger_as_authority(secure_broker: Kafka, tmp_path: Path) -> None:
    text = await refused(settings(secure_broker, tmp_path, ca_file=""))
    assert text.startswith("setting kafka.ca_file: the broker's certificate is refused: ")


async def test_tls_where_there_is_none(secure_broker: Kafka, tmp_path: Path) -> None:
    text = await refused(settings(secure_broker, tmp_path, bootstrap=(secure_broker.bootstrap,)))
    assert "kafka.security is 'sasl_ssl': is that what is spoken there?" in text


async def test_no_tls_where_there_is(secure_broker: Kafka) -> None:
    text = await refused(KafkaSettings(bootstrap=(secure_broker.secure,)))
    assert text.startswith("setting kafka.bootstrap: no broker answers")
    assert secure_broker.secure in text
    assert "kafka.security is 'plaintext': is that what is spoken there?" in text


async def test_a_login_where_nobody_logs_in(secure_broker: Kafka, tmp_path: Path) -> None:
    plain = settings(secure_broker, tmp_path, security="sasl_plaintext", bootstrap=(secure_broker.bootstrap,))
    assert (await refused(plain)).startswith("setting kafka.security: 'sasl_plaintext' logs in, and the broker lets")


async def test_a_mechanism_that_is_not_offered(secure_broker: Kafka, tmp_path: Path) -> None:
    text = await refused(settings(secure_broker, tmp_path, mechanism="SCRAM-SHA-512"))
    assert text == "setting kafka.mechanism: the broker does not offer SCRAM-SHA-512"


@pytest.mark.parametrize(
    ("more", "begins"),
    [
        ({"user": ""}, "setting kafka.user: "),
        ({"password_file": ""}, "setting kafka.password_file: "),
        ({"password_file": "/nowhere"}, "setting kafka.password_file: cannot use '/nowhere': No such file"),
        ({"ca_file": "/nowhere"}, "setting kafka.ca_file: cannot use '/nowhere': No such file"),
        ({"cert_file": "/nowhere"}, "setting kafka.cert_file: cannot use '/nowhere': No such file"),
        ({"prefix": "a/b"}, "setting kafka.prefix: "),
        ({"bootstrap": ("host:port",)}, "setting kafka.bootstrap: 'host:port' is no address"),
    ],
)
async def test_settings_at_fault_are_named(
    secure_broker: Kafka, tmp_path: Path, more: dict[str, str], begins: str
) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        await KafkaBus(settings(secure_broker, tmp_path, **more), QUICK).start()
    assert str(refusal.value).startswith(begins)
