"""Every row of the protocol's outcome tables."""

from __future__ import annotations

import pytest

from upwhisk.common.model.activation import Status
from upwhisk.common.spi.containers import GuestAnswer
from upwhisk.invoker import outcome

MAX = 1024


def answer(body: str | bytes, status: int = 200) -> GuestAnswer:
    data = body.encode() if isinstance(body, str) else body
    return GuestAnswer(status, data[: MAX], len(data))


@pytest.mark.parametrize(
    ("body", "status", "expected", "result", "keep"),
    [
        ('{"a": 1}', 200, Status.SUCCESS, {"a": 1}, True),
        ("[1, 2]", 200, Status.SUCCESS, [1, 2], True),
        ('{"error": "x", "k": 1}', 200, Status.APPLICATION_ERROR, {"error": "x"}, True),
        ('{"error": null}', 200, Status.APPLICATION_ERROR, {"error": None}, True),
        (
            "null\n",
            200,
            Status.DEVELOPER_ERROR,
            {"error": "The action did not produce a valid JSON or JSON Array response: null\n"},
            False,
        ),
        ("", 200, Status.DEVELOPER_ERROR, {"error": "The action did not produce a valid JSON or JSON Array response."}, False),
        ('{"error": "bad"}', 502, Status.DEVELOPER_ERROR, {"error": "bad"}, False),
        (
            "oops",
            500,
            Status.DEVELOPER_ERROR,
            {"error": "The action did not produce a valid JSON or JSON Array response: oops"},
            False,
        ),
        (b"\xff\xfe", 200, Status.DEVELOPER_ERROR, {"error": "The action did not produce a valid JSON or JSON Array response: \ufffd\ufffd"}, False),
    ],
)
def test_run(body: str | bytes, status: int, expected: Status, result: object, keep: bool) -> None:
    got = outcome.of_run(answer(body, status), MAX)
    assert got.response.code is expected
    assert got.response.result == result
    assert got.keep is keep


def test_an_answer_that_is_too_long_is_the_applications_error() -> None:
    got = outcome.of_run(answer('{"a": "' + "x" * MAX + '"}'), MAX)
    assert got.response.code is Status.APPLICATION_ERROR
    assert got.response.result["error"].startswith(
        f"The action produced a response that exceeded the allowed length: {MAX + 9} > {MAX} bytes. The truncated response was: {{"
    )


def test_a_deeply_nested_answer_is_no_crash() -> None:
    got = outcome.of_run(GuestAnswer(200, b"[" * 100_000, 100_000), 1_000_000)
    assert got.response.code is Status.DEVELOPER_ERROR


@pytest.mark.parametrize("depth", [501, 996, 999])
def test_what_could_not_be_stored_is_the_developers_error(depth: int) -> None:
    got = outcome.of_run(answer("[" * depth + "]" * depth), MAX * 4)
    assert got.response.code is Status.DEVELOPER_ERROR
    assert got.response.result == {"error": "The action produced a response that is nested deeper than 500 levels."}
    assert outcome.of_run(answer("[" * 500 + "]" * 500), MAX * 4).response.code is Status.SUCCESS


def test_size_counts_characters() -> None:
    assert outcome.of_run(answer('{"a":"❄"}'), MAX).response.size == 9


def test_ends_without_an_answer() -> None:
    assert outcome.of_timeout(100, in_init=False).response.result["error"].endswith("time limits of 100 milliseconds.")
    late = outcome.of_timeout(100, in_init=True)
    assert late.timed_out
    assert late.response.result["error"].endswith("100 milliseconds during initialization.")
    assert outcome.of_death(oom=True, in_init=False).response.result["error"] == outcome.EXHAUSTED
    assert outcome.of_death(oom=False, in_init=True).response.result["error"] == outcome.DIED_IN_INIT
    assert outcome.of_failed_init(answer("", 500)).response.result["error"] == "The action failed during initialization."
