"""How long an owner believes, and who has nobody to answer for it."""

from __future__ import annotations

from upwhisk.controller.delivery.orphans import LEFT, RETIRED, Orphans
from upwhisk.controller.delivery.ownership import OWNED_S, REMOVED_AFTER_S, Ownership


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def owned() -> tuple[Ownership, Time]:
    time = Time()
    ownership = Ownership(time)
    assert ownership.says() == 0
    ownership.heard(0)
    return ownership, time


def lapsed(ownership: Ownership) -> bool:
    return ownership.has_lapsed


def quiet(ownership: Ownership) -> bool:
    return ownership.is_quiet


def test_an_owner_believes_as_long_as_what_it_writes_comes_back() -> None:
    ownership, time = owned()
    sent_at = time.now
    time.now += OWNED_S
    assert not lapsed(ownership)
    ownership.confirmed(sent_at)
    time.now += 0.1
    assert lapsed(ownership), "it is the time of sending that counts"
    ownership.confirmed(time.now)
    assert not lapsed(ownership)


def test_a_quiet_log_needs_a_word() -> None:
    ownership, time = owned()
    time.now += 6
    assert quiet(ownership)
    word = ownership.says()
    assert not quiet(ownership)
    ownership.heard(word)
    time.now += OWNED_S
    assert not lapsed(ownership)


def test_a_log_is_removed_after_its_former_owner_has_lapsed() -> None:
    assert REMOVED_AFTER_S > OWNED_S


def test_logs_without_a_host_are_looked_at_several_times() -> None:
    orphans, flags = Orphans(), {"a": "x", "b": "y", "c": LEFT, "d": f"{RETIRED}x"}
    assert orphans.look(flags, {"b"}) == ["c"]
    for _ in range(2):
        orphans.look(flags, {"b"})
    assert orphans.look(flags, {"b"}) == ["a", "c"]


def test_who_claims_again_is_no_orphan() -> None:
    orphans = Orphans()
    for held in ([], [], [], ["a"], [], [], []):
        assert orphans.look({"a": "x"}, held) == []
    assert orphans.look({"a": "x"}, []) == ["a"]
