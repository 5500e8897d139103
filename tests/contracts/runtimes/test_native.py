"""The native proxy: a process for each activation, its last line of output is the result."""

from __future__ import annotations

import base64
import time

import pytest
from contracts.runtimes.guest import END, ID, Guest, zipped

from upwhisk.common.spi.containers import SENTINEL

NO_EXEC = {"error": "The action failed to locate a binary. See logs for details."}
NO_BINARY = {"error": "The action failed to generate or locate a binary. See logs for details."}
NOT_A_RESULT = {"error": "The action did not return a dictionary or array."}
NO_ARGUMENT = {"error": "The action did not receive a dictionary or array as an argument."}


def test_run_without_a_binary(sh: Guest) -> None:
    answer = sh.run()
    assert (answer.status, answer.json) == (502, NO_EXEC)
    assert sh.logs() == (END, END)


def test_arguments_come_by_both_ways(sh: Guest) -> None:
    sh.must_init('#!/bin/sh\necho "one line"\necho "{\\"argument\\": $1, \\"input\\": $(cat)}"\n')
    for value in ({"a": "❄"}, [1, 2], {}):
        assert sh.run(value).json == {"argument": value, "input": value}
        assert sh.logs() == (f"one line\n{END}", END)


def test_a_long_argument_comes_by_input_alone(sh: Guest) -> None:
    sh.must_init('#!/bin/sh\nread -r input\necho "{\\"arguments\\": $#, \\"length\\": ${#input}}"\n')
    assert sh.run({"a": "x" * 131_000}).json["arguments"] == 1
    length = 131_071 - len('{"a": ""}')
    assert sh.run({"a": "x" * length}).json == {"arguments": 1, "length": 131_071}
    assert sh.run({"a": "x" * (length + 1)}).json == {"arguments": 0, "length": 131_072}


@pytest.mark.parametrize(
    ("script", "log"),
    [
        ("echo text", "text\n"),
        ("echo 5", "5\n"),
        ("echo first; echo '{\"a\": NaN}'", 'first\n{"a": NaN}\n'),
        ("true", ""),
        ("echo '{\"a\": 1}'; echo", '{"a": 1}\n'),
        ("printf 'no newline'", "no newline\n"),
        ("exit 3", ""),
        ("kill -9 $$", ""),
    ],
)
def test_output_that_is_no_result(sh: Guest, script: str, log: str) -> None:
    sh.must_init(f"#!/bin/sh\n{script}\n")
    for _ in range(2):
        answer = sh.run()
        assert (answer.status, answer.json) == (502, NOT_A_RESULT)
        out, err = sh.logs()
        assert out.replace("\n\n", "\n").lstrip("\n") == log + END
        assert err == END


def test_the_result_of_a_process_that_fails_counts(sh: Guest) -> None:
    sh.must_init('#!/bin/sh\necho \'{"error": "x"}\'\nexit 1\n')
    answer = sh.run()
    assert (answer.status, answer.json) == (200, {"error": "x"})


def test_a_list_and_a_last_line_without_newline(sh: Guest) -> None:
    sh.must_init("#!/bin/sh\nprintf 'log\\n[1, 2]'\n")
    assert sh.run().text == "[1, 2]\n"
    assert sh.logs() == (f"log\n{END}", END)


@pytest.mark.parametrize("body", [b'{"value": 5}', b'{"value": "x"}', b"{", b"[]"])
def test_arguments_that_are_no_object(sh: Guest, body: bytes) -> None:
    sh.must_init("#!/bin/sh\necho '{}'\n")
    answer = sh.post("/run", body)
    assert (answer.status, answer.json) == (404, NO_ARGUMENT)


def test_lines_come_as_they_are_written(sh: Guest) -> None:
    sh.must_init("#!/bin/sh\necho early\necho next\nexec sleep 60\n")
    client = sh.connect()
    client.send_post("/run", b'{"value": {}}')
    assert sh.wait_for_log(0, "early") == "early\n"


def test_a_process_left_behind_is_not_waited_for(sh: Guest) -> None:
    sh.must_init("#!/bin/sh\n(sleep 30; echo late) &\necho '{\"pid\": '$!'}'\n")
    begun = time.monotonic()
    assert sh.run().json["pid"] > 0
    assert time.monotonic() - begun < 10


def test_it_does_not_have_to_read_its_input(sh: Guest) -> None:
    sh.must_init("#!/bin/sh\nexec <&-\necho '{\"a\": 1}'\n")
    assert sh.run({"a": "x" * 1_000_000}).json == {"a": 1}


def test_an_archive(sh: Guest) -> None:
    script = '#!/bin/sh\necho "{\\"data\\": \\"$(cat data.txt)\\", \\"id\\": \\"$__OW_ACTIVATION_ID\\", \\"p\\": \\"$P\\"}"\n'
    sh.must_init(zipped({"exec": script, "data.txt": "x"}), binary=True, env={"P": "q"})
    assert sh.run({}, activation_id=ID).json == {"data": "x", "id": ID, "p": "q"}


def test_an_archive_without_exec(sh: Guest) -> None:
    answer = sh.init(zipped({"other": "x"}), binary=True)
    assert (answer.status, answer.json) == (502, NO_BINARY)
    assert sh.logs() == (END, "Zip file does not include exec\n" + END)
    sh.must_init("#!/bin/sh\necho '{}'\n")


def test_a_hostile_archive(sh: Guest) -> None:
    answer = sh.init(zipped({"exec": "x", "../evil": "x"}), binary=True)
    assert (answer.status, answer.json) == (
        502,
        {"error": "The archive was refused: '../evil' leads out of its folder."},
    )


def test_what_cannot_be_executed(sh: Guest) -> None:
    sh.must_init("#!/no/such/interpreter\n")
    answer = sh.run()
    assert (answer.status, answer.json) == (502, NOT_A_RESULT)
    assert "No such file or directory" in sh.logs()[0]


def test_broken_base64(sh: Guest) -> None:
    answer = sh.init("!!", binary=True)
    assert (answer.status, answer.json) == (
        400,
        {"error": "cannot decode the request: illegal base64 data at input byte 0"},
    )
    assert sh.logs() == ("", "")


def test_a_binary_that_is_no_text(sh: Guest) -> None:
    with open("/bin/echo", "rb") as file:
        program = file.read()
    sh.must_init(base64.b64encode(program).decode(), binary=True)
    assert sh.run({"a": 1}).json == {"a": 1}
    assert sh.logs()[0].count(SENTINEL) == 1
