"""The bus of a fleet: one Kafka topic with one partition for each topic of ours.

aiokafka connects, authenticates, and knows the forms of requests and records. Producing and fetching are done here:
its producer and consumer are made for many partitions and spend three times the CPU on a single message.
"""

from upwhisk.backends.bus.kafka.bus import KafkaBus

__all__ = ["KafkaBus"]
