"""What the records of a round must say, given what callers were told and what guests were seen to do. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from crash.actions import RETRY_SAFE, RULES, SEQUENCES, STEPS, TRIGGER
from crash.load import Given
from crash.outside import Effect

Record = dict[str, Any]
STARTED = "The platform stopped while the action was running; it is not annotated retry-safe"
TRIED = "The platform stopped while the action was running, 3 times."
MOST_RUNS = 3
ENDS = {"failing": "application error", "raising": "application error", "exiting": "action developer error"}
"""How these end when nothing is killed; all others end in success."""


@dataclass(frozen=True)
class Seen:
    """One round from outside. `got`: what the API said of each id; `listed`: how often its lists name it.
    `restarts`: how often the platform was killed; `capacity`: how many runs it can hold at once; `guests_killed`:
    guests or zygotes were killed alone."""

    given: list[Given]
    got: Mapping[str, Record]
    listed: Counter[str]
    restarts: int
    capacity: int
    guests_killed: bool
    excuses: tuple[str, ...] = ()
    """Reasons of internal errors that are right here too."""


def violations(seen: Seen, runs: Mapping[Effect, int]) -> Iterator[str]:
    """Every promise that was broken, in words."""
    yield from _one_record_each(seen)
    yield from _side_effects(runs)
    for record in seen.got.values():
        yield from _of_record(record, seen)
    lost = sum(1 for r in seen.got.values() if STARTED in _error(r) and r["name"] not in SEQUENCES)
    if lost > seen.restarts * seen.capacity:
        yield f"{lost} ended as started; no more than {seen.restarts * seen.capacity} can have been"


def unseen(seen: Seen, by_id: Mapping[str, int]) -> list[str]:
    """Successful runs whose datagram was lost on its way (or whose effect never was)."""
    counted = ("quick", "sleeper", "retrying", "idle", "step", "retrying_step")
    ran = (r for r in seen.got.values() if r["name"] in counted and r["response"]["success"])
    return [r["activationId"] for r in ran if not by_id.get(r["activationId"])]


def started_by(record: Record) -> list[str]:
    """The ids that a record names: components of a sequence, activations of rules."""
    if record["name"] in SEQUENCES:
        return list(record["logs"])
    if record["name"] == TRIGGER:
        lines = [json.loads(line) for line in record["logs"]]
        return [line["activationId"] for line in lines if line["success"]]
    return []


def _one_record_each(seen: Seen) -> Iterator[str]:
    ids = Counter(one.id for one in seen.given)
    yield from (f"id {id_} was given {n} times" for id_, n in ids.items() if n > 1)
    for one in seen.given:
        if one.id not in seen.got:
            yield f"no record: {one}"
        elif seen.listed[one.id] != 1:
            yield f"listed {seen.listed[one.id]} times: {one}"
        elif seen.got[one.id]["name"] != one.what:
            yield f"the record of another: {one}"
    yield from (f"listed {n} times: {id_}" for id_, n in seen.listed.items() if n > 1)


def _side_effects(runs: Mapping[Effect, int]) -> Iterator[str]:
    for effect, n in runs.items():
        if n > (MOST_RUNS if effect[1] in RETRY_SAFE else 1):
            yield f"ran {n} times: {effect}"


def _of_record(record: Record, seen: Seen) -> Iterator[str]:
    name = record["name"]
    if name == TRIGGER:
        yield from _of_fire(record, seen)
    elif name in SEQUENCES:
        yield from _of_sequence(record, seen)
    else:
        yield from _of_action(record, seen)


def _of_action(record: Record, seen: Seen) -> Iterator[str]:
    name, status, error = record["name"], record["response"]["status"], _error(record)
    if status == ENDS.get(name, "success"):
        return
    if status == "whisk internal error" and any(excuse in error for excuse in seen.excuses):
        return
    if status == "whisk internal error" and (TRIED in error if name in RETRY_SAFE else STARTED in error):
        return
    if status == "action developer error" and seen.guests_killed:
        return
    yield f"{name} ended as {status!r} ({error}): {record['activationId']}"


def _of_fire(record: Record, seen: Seen) -> Iterator[str]:
    lines = [json.loads(line) for line in record["logs"]]
    rules = Counter(line["rule"].rpartition("/")[2] for line in lines)
    if len(lines) != len(RULES) + 1 or any(n > 1 for n in rules.values()):
        yield f"a fire names its rules {dict(rules)}: {record['activationId']}"
    for line in lines:
        rule = line["rule"].rpartition("/")[2]
        refused = line.get("error", "")
        if line["success"] and line["activationId"] not in seen.got:
            yield f"no record of rule {rule}'s activation {line['activationId']}"
        if line["success"] != (rule in RULES) and "too many" not in refused and line["statusCode"] != 3:
            yield f"rule {rule} of {record['activationId']}: {line}"


def _of_sequence(record: Record, seen: Seen) -> Iterator[str]:
    parts = [seen.got.get(id_) for id_ in record["logs"]]
    where = f"{record['name']} {record['activationId']}"
    if len(set(record["logs"])) != len(parts):
        yield f"{where} names a component twice"
    for id_, part in zip(record["logs"], parts, strict=True):
        if part is None:
            yield f"{where}: no record of its component {id_}"
        elif part.get("cause") != record["activationId"]:
            yield f"{where}: component {id_} says its cause is {part.get('cause')}"
    names = [part["name"] for part in parts if part is not None]
    if names != SEQUENCES[record["name"]][: len(names)]:
        yield f"{where} ran {names}"
    if record["response"]["success"]:
        result = record["response"]["result"]
        if record["name"] == "outer" and result.get("n") != STEPS:
            yield f"{where} succeeded with {result}"
    elif not parts or parts[-1] is None or parts[-1]["response"]["result"] != record["response"]["result"]:
        yield f"{where} failed by itself: {record['response']}"


def _error(record: Record) -> str:
    result = record["response"].get("result")
    return str(result.get("error", "")) if isinstance(result, dict) else ""


def kinds(records: Iterable[Record]) -> Counter[str]:
    """Records by how they ended, for the table."""
    found: Counter[str] = Counter()
    for record in records:
        error = _error(record)
        ended = "started, not run again" if STARTED in error else "tried 3 times" if TRIED in error else ""
        found[ended or record["response"]["status"]] += 1
    return found


def attempts(records: Iterable[Record]) -> Counter[int]:
    """Records of retry-safe actions by the attempt that they tell of."""
    ours = (a["value"] for r in records if r["name"] in RETRY_SAFE for a in r["annotations"] if a["key"] == "upwhisk")
    return Counter(int(one.get("attempt", 1)) for one in ours)
