"""OpenWhisk's ten conformance cases for a runtime (`runtime-protocol.md`, section 16), on every runtime."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from contracts.runtimes.conftest import INSTALLATIONS, StartGuest
from contracts.runtimes.docker_guest import DockerRoom
from contracts.runtimes.guest import ID, Answer, SpokenGuest

from upwhisk.common.spi.containers import SENTINEL
from upwhisk.runtimes.installation import RuntimeInstallation


@dataclass(frozen=True)
class Cases:
    """The same actions in each language."""

    not_an_object: str
    not_an_object_text: str
    other_entry: str
    echo: str
    unicode: str
    environment: str
    run_variables: str


PYTHON = Cases(
    not_an_object="def main(args):\n    return 'not a json object'\n",
    not_an_object_text="The action did not return a dictionary or array.",
    other_entry="def niam(args):\n    return args\n",
    echo="import sys\ndef main(args):\n    print('hello stdout')\n    print('hello stderr', file=sys.stderr)\n    return args\n",
    unicode="def main(args):\n    sep = args['delimiter']\n    s = sep + ' ☃ ' + sep\n    print(s)\n    return {'winter': s}\n",
    environment="import os\nTAKEN = os.environ['SOME_VAR']\nOTHER = os.environ['ANOTHER_VAR']\n"
    "def main(args):\n    return {'SOME_VAR': TAKEN, 'ANOTHER_VAR': OTHER}\n",
    run_variables="import os\ndef main(args):\n    return {k: v for k, v in os.environ.items() if k.startswith('__OW_')}\n",
)
NODE = Cases(
    not_an_object="function main(args) { return 'not a json object'; }",
    not_an_object_text="The action did not return a dictionary.",
    other_entry="function niam(args) { return args; }",
    echo="function main(args) { console.log('hello stdout'); console.error('hello stderr'); return args; }",
    unicode="function main(args) { const s = args.delimiter + ' ☃ ' + args.delimiter; console.log(s); return { winter: s }; }",
    environment="const taken = process.env.SOME_VAR, other = process.env.ANOTHER_VAR;\n"
    "function main() { return { SOME_VAR: taken, ANOTHER_VAR: other }; }",
    run_variables="function main() { return Object.fromEntries(Object.entries(process.env).filter(([k]) => k.startsWith('__OW_'))); }",
)
_SHELL = "#!/bin/sh\nread -r input\n"
NATIVE = Cases(
    not_an_object="#!/bin/sh\necho not a json object\n",
    not_an_object_text="The action did not return a dictionary or array.",
    other_entry=_SHELL + 'echo "$input"\n',
    echo=_SHELL + 'echo "hello stdout"; echo "hello stderr" >&2; echo "$input"\n',
    unicode='#!/bin/sh\necho "❄ ☃ ❄"\necho \'{"winter": "❄ ☃ ❄"}\'\n',
    environment='#!/bin/sh\necho "{\\"SOME_VAR\\": \\"$SOME_VAR\\", \\"ANOTHER_VAR\\": \\"$ANOTHER_VAR\\"}"\n',
    run_variables="#!/bin/sh\nprintf '{'\nenv | grep '^__OW_' | sed 's/\\([^=]*\\)=\\(.*\\)/\"\\1\": \"\\2\", /' | tr -d '\\n'\necho '\"end\": 1}'\n",
)
FAMILIES = {"python": PYTHON, "nodejs": NODE, "native": NATIVE}


PLACES = [
    *(pytest.param((kind, "plain"), id=kind) for kind in sorted(INSTALLATIONS)),
    *(
        pytest.param((family, "docker"), id=f"{family} in docker", marks=pytest.mark.external_service)
        for family in sorted(FAMILIES)
    ),
]
"""A kind as a plain process, and one kind of each family as its image."""


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
def any_kind(place: tuple[str, str], request: pytest.FixtureRequest) -> RuntimeInstallation:
    name, where = place
    if where == "plain":
        return INSTALLATIONS[name]
    runtimes: dict[str, RuntimeInstallation] = request.getfixturevalue("docker_runtimes")
    return next(one for one in runtimes.values() if one.family == name)


@pytest.fixture
def cases(any_kind: RuntimeInstallation) -> Cases:
    return FAMILIES[any_kind.family]


@pytest.fixture
def guest(
    place: tuple[str, str], any_kind: RuntimeInstallation, start: StartGuest, request: pytest.FixtureRequest
) -> SpokenGuest:
    if place[1] == "plain":
        return start(any_kind)
    room: DockerRoom = request.getfixturevalue("docker_room")
    return room.start(any_kind.kind)


def expect_sentinels(guest: SpokenGuest, count: int) -> tuple[str, str]:
    logs = guest.logs()
    assert [stream.count(SENTINEL) for stream in logs] == [count, count]
    return logs


def test_every_runtime_of_the_manifest_that_this_machine_has_is_tested() -> None:
    assert {"python", "native"} <= {installation.family for installation in INSTALLATIONS.values()}


def test_initialisation_without_code(guest: SpokenGuest, any_kind: RuntimeInstallation) -> None:
    answer = guest.post("/init", {"value": {"name": "action", "main": "main"}})
    if any_kind.family == "native":
        assert answer.status == 200
        assert guest.run().json == {"error": "This is a stub action. Replace it with custom logic."}
    else:
        assert_missing_code(answer)
        assert guest.logs() == ("", "")


@pytest.mark.parametrize("body", [{"value": {"code": ""}}, {"value": {}}, {}])
def test_initialisation_with_empty_content(
    guest: SpokenGuest, any_kind: RuntimeInstallation, body: dict[str, object]
) -> None:
    answer = guest.post("/init", body)
    if any_kind.family == "native":
        assert answer.status == 200
    else:
        assert_missing_code(answer)


def assert_missing_code(answer: Answer) -> None:
    assert (answer.status, answer.json) == (403, {"error": "Missing main/no code to execute."})


def test_a_result_that_is_no_object(guest: SpokenGuest, cases: Cases) -> None:
    guest.must_init(cases.not_an_object)
    answer = guest.run()
    assert (answer.status, answer.json) == (502, {"error": cases.not_an_object_text})
    expect_sentinels(guest, 1)


def test_a_second_initialisation_is_refused(guest: SpokenGuest, cases: Cases) -> None:
    guest.must_init(cases.echo)
    answer = guest.init(cases.echo)
    assert (answer.status, answer.json) == (403, {"error": "Cannot initialize the action more than once."})
    assert "Cannot initialize the action more than once." in guest.logs()[1]
    assert guest.run({"a": 1}).json == {"a": 1}


def test_another_entry_point(guest: SpokenGuest, cases: Cases) -> None:
    guest.must_init(cases.other_entry, main="niam")
    assert guest.run({"payload": "hello"}).json == {"payload": "hello"}
    expect_sentinels(guest, 1)


def test_arguments_are_echoed_and_both_streams_logged(guest: SpokenGuest, cases: Cases) -> None:
    guest.must_init(cases.echo)
    arguments: list[dict[str, object]] = [
        {"string": "hello"},
        {"string": "❄ ☃ ❄"},
        {"numbers": [42, -1, 1.5, 1e21]},
        {"object": {"a": {"b": [None, True, False, {}]}}},
    ]
    for value in arguments:
        answer = guest.run(value)
        assert (answer.status, answer.json) == (200, value)
        out, err = expect_sentinels(guest, 1)
        assert out == f"hello stdout\n{SENTINEL}\n"
        assert err == f"hello stderr\n{SENTINEL}\n"


def test_unicode_in_code_arguments_logs_and_result(guest: SpokenGuest, cases: Cases) -> None:
    guest.must_init(cases.unicode)
    answer = guest.run({"delimiter": "❄"})
    assert (answer.status, answer.json) == (200, {"winter": "❄ ☃ ❄"})
    out, _ = expect_sentinels(guest, 1)
    assert out == f"❄ ☃ ❄\n{SENTINEL}\n"


def test_variables_are_there_before_the_code_is_loaded(guest: SpokenGuest, cases: Cases) -> None:
    guest.must_init(cases.environment, env={"SOME_VAR": "xyz", "ANOTHER_VAR": 5})
    assert guest.run().json == {"SOME_VAR": "xyz", "ANOTHER_VAR": "5"}


def test_the_documented_variables_are_visible_in_a_run(guest: SpokenGuest, cases: Cases) -> None:
    guest.must_init(cases.run_variables, env={"__OW_ACTION_VERSION": "0.0.3"})
    fields = {
        "api_key": "u:k",
        "namespace": "zzz",
        "action_name": "/guest/xxx",
        "action_version": "0.0.3",
        "activation_id": ID,
        "transaction_id": "t1",
        "deadline": "1754400123456",
    }
    found = guest.run({}, **fields).json
    assert {name: found.get(f"__OW_{name.upper()}") for name in fields} == fields
    again = {**fields, "activation_id": ID[::-1], "deadline": "1754400123999"}
    found = guest.run({}, **again).json
    assert {name: found.get(f"__OW_{name.upper()}") for name in fields} == again


def test_a_megabyte_is_echoed(guest: SpokenGuest, cases: Cases) -> None:
    guest.must_init(cases.echo)
    value = {"arg": "x" * (1024 * 1024)}
    answer = guest.post("/run", json.dumps({"value": value}).encode())
    assert answer.status == 200
    assert answer.json == value
    expect_sentinels(guest, 1)
