"""A process that takes messages from a topic, finishes some, says so, and waits to be killed.

Arguments: bootstrap, prefix, topic, how many to take, how many of those to finish (the first ones).
"""

from __future__ import annotations

import asyncio
import sys

from upwhisk.backends.bus.kafka import KafkaBus
from upwhisk.common.settings import KafkaSettings
from upwhisk.common.spi.bus import Delivery


async def main(bootstrap: str, prefix: str, topic: str, take: int, finish: int) -> None:
    taken: list[Delivery] = []
    all_taken = asyncio.Event()

    def deliver(delivery: Delivery) -> None:
        taken.append(delivery)
        if len(taken) <= finish:
            delivery.done()
        if len(taken) == take:
            all_taken.set()

    async with KafkaBus(KafkaSettings(bootstrap=(bootstrap,), prefix=prefix)) as bus:
        await bus.subscribe(topic, deliver, credits=take).start()
        await all_taken.wait()
        print("taken", flush=True)
        await asyncio.Event().wait()


bootstrap, prefix, topic, take, finish = sys.argv[1:]
asyncio.run(main(bootstrap, prefix, topic, int(take), int(finish)))
