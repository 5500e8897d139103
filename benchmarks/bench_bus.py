"""The Kafka bus: from send to acknowledgement and to delivery, one at a time and with many under way, and what a hop costs.

Sender and receiver share this process, so its CPU per message is that of both ends of one hop, encoding and decoding included.
The yardstick is aiokafka's own producer and consumer in the same run, with the same bytes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from fakes.samples import message
from report import Bar, finish, percentile, percentiles, table
from services.kafka import Kafka

from upwhisk.backends.bus.kafka import KafkaBus
from upwhisk.common.messages import ActivationMessage, encode_message
from upwhisk.common.settings import KafkaSettings
from upwhisk.common.spi.bus import Delivery

_ONE = 4000
_MANY = 40_000
_WARM = 500
_ROUNDS = 3
_UNDER_WAY = 32
_PAYLOAD = 500
_DEADLINE_S = 300.0

Acknowledged = Callable[[], Awaitable[object]]
"""Begin to send one message and wait until it is durable."""


@dataclass(slots=True)
class Hop:
    """One way to send and receive. `arrived` resolves with the time of the next arrival."""

    send: Acknowledged
    arrivals: asyncio.Queue[float]


class Processor:
    """CPU seconds of this process and of the broker since the last look."""

    def __init__(self, broker: int) -> None:
        self._broker = broker
        self._last = self._read()

    def per_message_us(self, count: int) -> tuple[float, float]:
        now, before = self._read(), self._last
        self._last = now
        return (now[0] - before[0]) / count * 1e6, (now[1] - before[1]) / count * 1e6

    def _read(self) -> tuple[float, float]:
        fields = Path(f"/proc/{self._broker}/stat").read_text().rpartition(")")[2].split()
        ours = os.times()
        return ours.user + ours.system, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def by_bus(bootstrap: str, sample: ActivationMessage, name: str) -> AsyncIterator[Hop]:
    async with KafkaBus(KafkaSettings(bootstrap=(bootstrap,), prefix=name)) as bus:
        arrivals: asyncio.Queue[float] = asyncio.Queue()

        def deliver(delivery: Delivery) -> None:
            arrivals.put_nowait(time.perf_counter())
            delivery.done()

        async with bus.subscribe("t", deliver, credits=1_000_000):
            yield Hop(lambda: bus.send("t", sample), arrivals)


@asynccontextmanager
async def by_aiokafka(bootstrap: str, sample: ActivationMessage, name: str) -> AsyncIterator[Hop]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await producer.start()
    await consumer.start()
    arrivals: asyncio.Queue[float] = asyncio.Queue()

    async def send() -> None:
        await producer.send_and_wait(name, encode_message(sample))

    async def receive() -> None:
        async for _ in consumer:
            arrivals.put_nowait(time.perf_counter())

    await send()
    partition = TopicPartition(name, 0)
    consumer.assign([partition])
    await consumer.seek_to_end(partition)
    receiving = asyncio.create_task(receive())
    try:
        yield Hop(send, arrivals)
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        await consumer.stop()
        await producer.stop()


async def one_at_a_time(hop: Hop, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds to the acknowledgement and to the delivery."""
    acknowledged, delivered = [], []
    for _ in range(count):
        began = time.perf_counter()
        await hop.send()
        acknowledged.append((time.perf_counter() - began) * 1000)
        delivered.append((await hop.arrivals.get() - began) * 1000)
    return acknowledged, delivered


async def many_under_way(hop: Hop, count: int) -> float:
    """Messages a second."""

    async def sender() -> None:
        for _ in range(count // _UNDER_WAY):
            await hop.send()
            await hop.arrivals.get()

    began = time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(_UNDER_WAY)))
    return count // _UNDER_WAY * _UNDER_WAY / (time.perf_counter() - began)


async def measured(kind: str, hop: Hop, broker: int) -> dict[str, object]:
    await one_at_a_time(hop, _WARM)
    processor = Processor(broker)
    acknowledged, delivered = await one_at_a_time(hop, _ONE)
    ours, theirs = processor.per_message_us(_ONE)
    rate = await many_under_way(hop, _MANY)
    ours_many, theirs_many = processor.per_message_us(_MANY)
    return {
        "way": kind,
        "acknowledged_ms": percentiles(acknowledged),
        "delivered_ms": percentiles(delivered),
        "cpu_us": round(ours),
        "broker_cpu_us": round(theirs),
        "many_per_s": round(rate),
        "many_cpu_us": round(ours_many, 1),
        "many_broker_cpu_us": round(theirs_many, 1),
    }


async def run(bootstrap: str, broker: int) -> list[dict[str, object]]:
    sample = message(arguments={"payload": "x" * _PAYLOAD})
    found = []
    async with asyncio.timeout(_DEADLINE_S):
        for number in range(_ROUNDS):
            async with by_bus(bootstrap, sample, f"bench{number}-") as hop:
                found.append(await measured("the bus", hop, broker))
            async with by_aiokafka(bootstrap, sample, f"plain{number}") as hop:
                found.append(await measured("aiokafka's own", hop, broker))
    return found


@contextmanager
def broker() -> Iterator[tuple[str, int]]:
    with Kafka() as kafka:
        yield kafka.bootstrap, kafka.pid


def main() -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with broker() as (bootstrap, pid):
        found = uvloop.run(run(bootstrap, pid))
    print(table(_HEADS, [_row(one) for one in found]))
    ours = [one for one in found if one["way"] == "the bus"]
    theirs = [one for one in found if one["way"] != "the bus"]
    bars = [
        Bar("send to delivery, one at a time, p50", _median(ours, "delivered_ms", "p50"), 1.0, "ms"),
        Bar(
            "CPU of one message at a time, to aiokafka's",
            _median(ours, "cpu_us") / _median(theirs, "cpu_us"),
            0.7,
            "of it",
        ),
    ]
    return finish(
        "bus",
        {"message_bytes": len(encode_message(message(arguments={"payload": "x" * _PAYLOAD}))), "runs": found},
        bars,
    )


_HEADS = [
    "way",
    "ack p50",
    "p99",
    "deliver p50",
    "p99 ms",
    "CPU us",
    "broker us",
    "32 under way /s",
    "CPU us",
    "broker us",
]


def _row(one: dict[str, object]) -> list[object]:
    acknowledged, delivered = one["acknowledged_ms"], one["delivered_ms"]
    assert isinstance(acknowledged, dict)
    assert isinstance(delivered, dict)
    figures = [acknowledged["p50"], acknowledged["p99"], delivered["p50"], delivered["p99"]]
    names = ("cpu_us", "broker_cpu_us", "many_per_s", "many_cpu_us", "many_broker_cpu_us")
    return [one["way"], *figures, *(one[name] for name in names)]


def _median(runs: list[dict[str, object]], *path: str) -> float:
    values: list[float] = []
    for one in runs:
        value: object = one
        for key in path:
            assert isinstance(value, dict)
            value = value[key]
        assert isinstance(value, (int, float))
        values.append(value)
    return percentile(values, 50)


if __name__ == "__main__":
    sys.exit(main())
