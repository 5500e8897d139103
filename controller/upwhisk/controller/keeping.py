"""Whether what is accepted now can be kept."""

from __future__ import annotations

import structlog

from upwhisk.common.errors import Unavailable
from upwhisk.common.spi.store import ArtifactStore
from upwhisk.loadbalancer.balancer import Balancer

log = structlog.get_logger(__name__)


def check_keeps(store: ArtifactStore, balancer: Balancer, namespace: str) -> None:
    """`Unavailable` with the reason, counted, if the store takes no work."""
    reason = store.accepts_work()
    if reason is not None:
        balancer.refused["store"] += 1
        log.info("refused", action="keeping.refused", namespace=namespace, reason=reason)
        raise Unavailable.because(reason)
