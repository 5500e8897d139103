"""What the users of a fleet's processes may do in Kafka, as access rules. Only a super user can do it.

The users themselves are the broker's: SCRAM users are made when its storage is formatted, or with `kafka-configs`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiokafka import errors
from aiokafka.protocol.admin import CreateAclsRequest, DescribeAclsRequest

from upwhisk.backends.bus.kafka.cluster import Cluster
from upwhisk.backends.bus.kafka.deadlines import Deadlines
from upwhisk.backends.bus.kafka.topics import name_of
from upwhisk.common.errors import ConfigurationError, Unavailable
from upwhisk.common.retry import Backoff
from upwhisk.common.settings import KafkaSettings
from upwhisk.common.spi.bus import controller_topic, node_topic
from upwhisk.common.spi.roles import Role

_TOPIC, _GROUP = 2, 3
_PREFIXED = 4
_READ, _WRITE, _CREATE, _DELETE, _DESCRIBE = 3, 4, 5, 6, 8
_ALLOW = 3
_ANY = 1
_NO_AUTHORIZER = 54


@dataclass(frozen=True, slots=True)
class Rule:
    """`name` begins the names of the resources that it is about."""

    resource: int
    name: str
    operations: tuple[int, ...]


def rules(prefix: str, role: Role) -> tuple[Rule, ...]:
    """Pure. A topic and the group that consumes it have one name. A controller takes over the logs of dead ones and removes
    them, and the topics of nodes are made by whoever comes first; a node reads its own and writes to logs. One that was removed
    meanwhile it makes anew: its late answer has to lie somewhere, and the sweep takes both away."""
    if role == "controller":
        everything = (_READ, _WRITE, _CREATE, _DELETE, _DESCRIBE)
        return Rule(_TOPIC, prefix, everything), Rule(_GROUP, prefix, (_READ, _DELETE, _DESCRIBE))
    return (
        Rule(_TOPIC, prefix + node_topic(""), (_READ, _CREATE, _DESCRIBE)),
        Rule(_GROUP, prefix + node_topic(""), (_READ, _DESCRIBE)),
        Rule(_TOPIC, prefix + controller_topic(""), (_WRITE, _CREATE, _DESCRIBE)),
    )


async def grant(settings: KafkaSettings, account: KafkaSettings, role: Role) -> str:
    """Have the rules for the user of `account`; what was done. Repeatable. `settings` are those of a super user."""
    if not settings.security.startswith("sasl"):
        return "bus: without users, whoever reaches it may everything"
    if not account.user:
        raise ConfigurationError("kafka.user", f"is not set in the settings of a {role}")
    if account.user == settings.user:
        return f"bus: the {role} is the super user '{account.user}'"
    deadlines = Deadlines()
    async with Cluster(settings, deadlines) as cluster:
        try:
            async with asyncio.timeout(deadlines.start):
                for rule in rules(account.prefix, role):
                    for operation in rule.operations:
                        if not await _allow(cluster, account.user, rule, operation):
                            return f"bus: the broker has no authorizer, '{account.user}' may everything"
                await _wait_known(cluster, account.user, rules(account.prefix, role))
        except TimeoutError:
            raise Unavailable("Kafka does not take access rules in time.") from None
    return f"bus: '{account.user}' has the rights of a {role}"


async def _allow(cluster: Cluster, user: str, rule: Rule, operation: int) -> bool:
    """False: the broker keeps no rules. A rule that is there already is no error."""
    request = CreateAclsRequest(rule.resource, rule.name, _PREFIXED, f"User:{user}", "*", operation, _ALLOW)
    answer = await cluster.ask_controller(request)
    code, text = answer.creation_responses[0]
    if code == _NO_AUTHORIZER:
        return False
    if errors.for_code(code) is not errors.NoError:
        raise Unavailable(f"Kafka does not take an access rule for '{user}': {text or name_of(code)}.")
    return True


async def _wait_known(cluster: Cluster, user: str, wanted: tuple[Rule, ...]) -> None:
    """Brokers hear of a new rule a moment after it is durable."""
    missing = {(rule.resource, rule.name, operation) for rule in wanted for operation in rule.operations}
    backoff = Backoff(0.01, 0.2)
    while True:
        answer = await cluster.ask(DescribeAclsRequest(_ANY, None, _ANY, f"User:{user}", None, _ANY, _ANY))
        for resource, name, _, entries in answer.resources:
            missing -= {(resource, name, operation) for _, _, operation, _ in entries}
        if not missing:
            return
        await asyncio.sleep(backoff.next_s())
