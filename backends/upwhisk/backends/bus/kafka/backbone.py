"""What every subscription of a bus shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from upwhisk.backends.bus.kafka.cluster import Cluster
from upwhisk.backends.bus.kafka.deadlines import Deadlines
from upwhisk.backends.bus.kafka.offsets import Offsets
from upwhisk.backends.bus.kafka.topics import Topics

if TYPE_CHECKING:
    from upwhisk.backends.bus.kafka.subscription import KafkaSubscription


@dataclass(slots=True)
class Backbone:
    """`subscribers`: the started subscription of each topic; there is one at a time."""

    cluster: Cluster
    topics: Topics
    offsets: Offsets
    deadlines: Deadlines
    subscribers: dict[str, KafkaSubscription] = field(default_factory=dict)
