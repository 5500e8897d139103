"""Logs: kept in order, bounded, with a notice where they were cut."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from upwhisk.common.ids import new_activation_id
from upwhisk.common.spi.logs import LogStore

STAMP = "2025-08-05T13:20:00.000000000Z"
NOTICE = f"{STAMP} stderr: Logs were truncated because the total bytes size exceeds the limit of {{}} bytes."


async def kept(logs: LogStore, lines: list[str], limit_bytes: int) -> list[str]:
    activation = new_activation_id()
    sink = logs.open("guest", activation, limit_bytes=limit_bytes)
    for line in lines:
        sink.append([line])
    return await logs.read("guest", activation, sink.close())


async def test_lines_are_kept_in_order(logs: LogStore) -> None:
    lines = [f"{STAMP} stdout: {number} ü" for number in range(100)]
    assert await kept(logs, lines, 100_000) == lines


async def test_an_empty_log(logs: LogStore) -> None:
    assert await kept(logs, [], 100) == []


async def test_limit_0_keeps_nothing(logs: LogStore) -> None:
    assert await kept(logs, ["one", "two"], 0) == []


async def test_what_exceeds_the_limit_is_cut_and_a_notice_ends_the_log(logs: LogStore) -> None:
    assert await kept(logs, ["a" * 9, "b" * 9, "c"], 20) == ["a" * 9, "b" * 9, NOTICE.format(20)]
    assert await kept(logs, ["a" * 9, "b" * 20, "c"], 20) == ["a" * 9, "b" * 9, NOTICE.format(20)]
    assert await kept(logs, ["a" * 9, "b" * 9], 20) == ["a" * 9, "b" * 9]


async def test_activations_do_not_mix(logs: LogStore) -> None:
    ids = [new_activation_id(), new_activation_id()]
    sinks = [logs.open("guest", each, limit_bytes=100) for each in ids]
    for number in range(3):
        for sink, name in zip(sinks, "ab", strict=True):
            sink.append([f"{name}{number}"])
    recorded = [sink.close() for sink in sinks]
    found = [await logs.read("guest", each, lines) for each, lines in zip(ids, recorded, strict=True)]
    assert found == [["a0", "a1", "a2"], ["b0", "b1", "b2"]]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.text(st.characters(exclude_characters="\n\r"), max_size=40), max_size=20), limit=st.integers(1, 300))
async def test_never_more_than_the_limit_and_never_another_text(logs: LogStore, lines: list[str], limit: int) -> None:
    found = await kept(logs, lines, limit)
    size = sum(len(line.encode(errors="replace")) + 1 for line in lines)
    whole = [line.encode(errors="replace").decode() for line in lines]  # half a surrogate pair cannot be stored
    if size <= limit:
        assert found == whole
    else:
        assert found.pop() == NOTICE.format(limit)
        assert sum(len(line.encode()) + 1 for line in found) <= limit
        assert found[:-1] == whole[: max(0, len(found) - 1)]
        assert not found or whole[len(found) - 1].startswith(found[-1])
