"""Work on a node that is lost: placed once more if that is allowed, else ended with the reason."""

from __future__ import annotations

import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.messages import MAX_ATTEMPTS, ActivationMessage
from upwhisk.common.tasks import TaskOwner
from upwhisk.common.unfinished import lost
from upwhisk.controller.delivery.hosting import Hosting
from upwhisk.controller.delivery.journal import LogJournal
from upwhisk.controller.delivery.ledger import Work
from upwhisk.controller.verdict import Verdict, judge
from upwhisk.loadbalancer.balancer import Balancer
from upwhisk.loadbalancer.pending import Pending, Phase

log = structlog.get_logger(__name__)

STARTED = "The action was running on a node that was lost ({}); it is not annotated retry-safe, so it was not run again."
UNKNOWN = "The action was handed to a node that was lost ({}); it may have run, so it was not run again."
TRIED = f"The action was running on nodes that were lost, {MAX_ATTEMPTS} times; the last one: {{}}."
UNANSWERED = "How the action ended is not known ({}); it may have run, so it was not run again."
EXPIRED = "The activation waited for longer than {:.0f} s; its node was lost ({})."
_AGAIN_S = 1.0


class Fences:
    """A new hand-over fences the former one off: the log drops what its node says afterwards, and the node itself starts
    nothing any more that was handed to an incarnation it lost."""

    def __init__(
        self, hosting: Hosting, journal: LogJournal, balancer: Balancer, clock: Clock, *, max_age_s: float
    ) -> None:
        self._hosting = hosting
        self._journal = journal
        self._balancer = balancer
        self._clock = clock
        self._max_age_s = max_age_s
        self._tasks = TaskOwner("fences")

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)

    def node_lost(self, pending: Pending, reason: str) -> None:
        self._tasks.start(self._judge(pending, reason), "lost")

    async def _judge(self, pending: Pending, reason: str) -> None:
        """What the node said before it went may be in the log and not be read yet, above all of one that left in good order:
        the registry and the bus are not in step. So first everything that is in the log by now."""
        message, is_read = pending.message, False
        if (log_ := self._hosting.named(message.controller)) is not None:
            try:
                await log_.read_up()
                is_read = True
            except StoreUnavailable as error:
                log.warning("judged without the log's end", action="fences.unread", id=message.activation_id, reason=str(error))
        if self._balancer.work.holds(pending) and pending.phase is Phase.ENDING:
            self._verdict(pending, reason, is_read=is_read)

    def _verdict(self, pending: Pending, reason: str, *, is_read: bool) -> None:
        message, work = pending.message, self._work(pending)
        attempt = self._started(message, is_read=is_read) if work is None else work.attempt
        match judge(message, attempt, now_ms=self._clock.now_ms(), max_age_s=self._max_age_s):
            case Verdict.RUN | Verdict.GO_ON:
                self._run_again(pending, attempt + 1)
            case Verdict.END_STARTED:
                is_known = work is not None or (is_read and message.tells_start)
                self._end(pending, (STARTED if is_known else UNKNOWN).format(reason))
            case Verdict.END_TRIED:
                self._end(pending, TRIED.format(reason))
            case Verdict.END_EXPIRED:
                self._end(pending, EXPIRED.format(self._max_age_s, reason))

    def unanswered(self, pending: Pending, reason: str) -> None:
        self._end(pending, UNANSWERED.format(reason))

    def refused(self, pending: Pending) -> None:
        """The log did not take a hand-over. It had started before, which we had not read yet; or it has ended, or was never
        accepted, or is another controller's: then nobody here has to do with it any more."""
        if self._work(pending) is None:
            self._balancer.forget(pending)
        else:
            reason = pending.lost or "its controller did not know that it had started"
            self._verdict(pending, reason, is_read=True)

    def _started(self, message: ActivationMessage, *, is_read: bool) -> int:
        """Of what was never journalled, how often it may have started. Its node says so before it starts it, so what is not
        in the log by the time the node is lost has not started, and will not."""
        log_ = self._hosting.named(message.controller)
        if log_ is None or not is_read:
            return message.attempt
        return message.attempt - log_.ledger.has_not_started(message)

    def _work(self, pending: Pending) -> Work | None:
        message = pending.message
        log = self._hosting.named(message.controller)
        return None if log is None else log.ledger.pending.get(message.activation_id)

    def _run_again(self, pending: Pending, attempt: int) -> None:
        """What a caller waits for is journalled from here on, so that the former hand-over is fenced off for everybody."""
        message = pending.message
        if not message.journalled:
            message.journalled = True
            if attempt == message.attempt:  # it has not started: an acceptance that names a node would say that it may have
                pending.take_back()
            self._journal.accept([message])
        message.attempt = attempt
        self._balancer.requeue(pending)

    def _end(self, pending: Pending, reason: str) -> None:
        self._tasks.start(self._settle(pending, reason), "fence")

    async def _settle(self, pending: Pending, reason: str) -> None:
        """The log decides between this end and an outcome that comes at the last moment. Tried until it has."""
        message = pending.message
        record = lost(message, reason, now_ms=self._clock.now_ms())
        while self._balancer.work.holds(pending):
            try:
                await self._journal.end(message, record)
            except StoreUnavailable as error:
                log.warning("not ended yet", action="fences.waiting", id=message.activation_id, reason=str(error))
                await self._clock.sleep(_AGAIN_S)
                continue
            if self._balancer.work.holds(pending):
                # Of a node's outcome we had been told before: what ended it is ours, of now or of an earlier try.
                log.info("ended", action="fences.ended", id=message.activation_id, reason=reason)
                self._balancer.resolve(pending, record)
            return
