"""/run of the Python proxy: outcomes, texts and streams."""

from __future__ import annotations

import pytest
from contracts.runtimes.guest import END, ID, Guest

from upwhisk.common.spi.containers import SENTINEL

EXITED = {"error": "command exited"}
NO_ACTION = {"error": "no action defined yet"}
NOT_A_RESULT = {"error": "The action did not return a dictionary or array."}
RETURNS = "def main(args):\n    return {}\n"


def returning(expression: str) -> str:
    return f"import sys, collections\ndef main(args):\n    return {expression}\n"


def test_before_init(py: Guest) -> None:
    answer = py.run()
    assert (answer.status, answer.text) == (500, '{"error":"no action defined yet"}\n')
    assert py.logs() == ("", "")


@pytest.mark.parametrize(
    ("expression", "body"),
    [
        ("{'a': 1, 'b': [1, 2]}", '{"a": 1, "b": [1, 2]}\n'),
        ("[1, 2]", "[1, 2]\n"),
        ("(1, 2)", "[1, 2]\n"),
        ("None", "null\n"),
        ("{'error': 'x', 'k': 1}", '{"error": "x", "k": 1}\n'),
        ("{'w': '❄'}", '{"w": "❄"}\n'),
        ("collections.OrderedDict(a=1)", '{"a": 1}\n'),
        ("{1: None, 'x': 1.5}", '{"1": null, "x": 1.5}\n'),
    ],
)
def test_results(py: Guest, expression: str, body: str) -> None:
    py.must_init(returning(expression))
    for _ in range(2):
        answer = py.run()
        assert (answer.status, answer.text) == (200, body)
        assert py.logs() == (END, END)


@pytest.mark.parametrize("expression", ["'text'", "5", "True", "1.5"])
def test_results_that_are_no_object_keep_the_guest(py: Guest, expression: str) -> None:
    py.must_init(returning(expression))
    for _ in range(2):
        answer = py.run()
        assert (answer.status, answer.json) == (502, NOT_A_RESULT)
        assert py.logs() == (END, END)


@pytest.mark.parametrize("expression", ["{'a': float('nan')}", "[float('inf')]", "{'a': {'b': -1e999}}"])
def test_numbers_that_json_does_not_have(py: Guest, expression: str) -> None:
    py.must_init(returning(expression))
    answer = py.run()
    assert answer.status == 502
    assert answer.json == {
        "error": "The action returned a number that JSON does not have (NaN or an infinity)."
    }
    assert py.run().status == 502


@pytest.mark.parametrize("expression", ["{'a': '\\ud800'}", "['\\udfff']", "{'\\ud800': 1}"])
def test_texts_that_utf8_cannot_write(py: Guest, expression: str) -> None:
    py.must_init(returning(expression))
    for _ in range(2):
        answer = py.run()
        assert (answer.status, answer.json) == (
            502,
            {"error": "The action returned a text that UTF-8 cannot write (half of a surrogate pair)."},
        )


def test_an_exception_that_utf8_cannot_write(py: Guest) -> None:
    py.must_init("def main(args):\n    raise ValueError('bad \\ud800')\n")
    answer = py.run()
    assert (answer.status, answer.json) == (200, {"error": "bad \\ud800"})


@pytest.mark.parametrize(
    ("expression", "log"),
    [
        ("{'a': {1}}", "Object of type set is not JSON serializable"),
        ("(lambda d: (d.update(d=d), d)[1])({})", "Circular reference detected"),
        ("__import__('functools').reduce(lambda a, _: [a], range(100_000), [])", "RecursionError"),
    ],
)
def test_results_that_cannot_be_written_end_the_code(py: Guest, expression: str, log: str) -> None:
    py.must_init(returning(expression))
    answer = py.run()
    assert (answer.status, answer.json) == (400, EXITED)
    out, err = py.logs()
    assert out == END
    assert log in err
    assert err.endswith(END)
    later = py.run()
    assert (later.status, later.json) == (500, NO_ACTION)
    assert py.logs() == ("", "")


def test_an_exception_is_a_result(py: Guest) -> None:
    py.must_init("def inner():\n    raise ValueError('bad é')\ndef main(args):\n    inner()\n")
    for _ in range(2):
        answer = py.run()
        assert (answer.status, answer.text) == (200, '{"error": "bad é"}\n')
        out, err = py.logs()
        assert out == END
        assert err.startswith("Traceback (most recent call last):\n")
        assert "in inner" in err
        assert err.endswith("ValueError: bad é\n" + END)
        assert "upwhisk_guest" not in err


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            "class E(Exception):\n    def __str__(self): raise Exception('no')\ndef main(args):\n    raise E()\n",
            "E",
        ),
        ("def main(args):\n    return main(args)\n", "maximum recursion depth exceeded"),
        ("def main(args):\n    raise MemoryError()\n", ""),
    ],
)
def test_strange_exceptions(py: Guest, code: str, text: str) -> None:
    py.must_init(code)
    answer = py.run()
    assert answer.status == 200
    assert answer.json["error"].startswith(text)
    assert py.run().status == 200


@pytest.mark.parametrize(
    "statement", ["sys.exit(0)", "raise SystemExit('bye')", "raise KeyboardInterrupt", "exit()"]
)
def test_exits(py: Guest, statement: str) -> None:
    py.must_init(f"import sys\ndef main(args):\n    print('before')\n    {statement}\n")
    answer = py.run()
    assert (answer.status, answer.json) == (400, EXITED)
    out, err = py.logs()
    assert out == "before\n" + END
    assert err.endswith(END)
    later = py.run()
    assert (later.status, later.json) == (500, NO_ACTION)


def test_os_exit_is_answered_and_obeyed(py: Guest) -> None:
    py.must_init("import os\ndef main(args):\n    print('before')\n    os._exit(7)\n")
    answer = py.run()
    assert (answer.status, answer.json) == (400, EXITED)
    assert py.logs() == ("before\n" + END, END)
    assert py.wait_for_exit() == 7


def test_a_signal_closes_the_connection(py: Guest) -> None:
    py.must_init("import os, signal\ndef main(args):\n    os.kill(os.getpid(), signal.SIGKILL)\n")
    assert py.try_post("/run", {"value": {}}) is None


def test_broken_json_ends_the_code(py: Guest) -> None:
    py.must_init(RETURNS)
    answer = py.post("/run", b'{"value"')
    assert (answer.status, answer.json) == (400, EXITED)
    assert py.run().status == 500


def test_without_value_it_runs_with_nothing(py: Guest) -> None:
    py.must_init("def main(args):\n    return {'got': args}\n")
    assert py.post("/run", {}).json == {"got": {}}
    assert py.run([1, {"a": 2}]).json == {"got": [1, {"a": 2}]}


def test_unknown_fields_become_variables_too(py: Guest) -> None:
    py.must_init("import os\ndef main(args):\n    return {'x': os.environ.get('__OW_SOME_FIELD')}\n")
    assert py.run({}, some_field="❄").json == {"x": "❄"}
    assert py.run({}, some_field=5).json == {"x": "5"}


def test_an_unfinished_line_is_not_lost_with_the_sentinel(py: Guest) -> None:
    py.must_init(
        "import sys\ndef main(args):\n    print('a', end='')\n    sys.stderr.write('b')\n    return {}\n"
    )
    for _ in range(2):
        py.run()
        assert py.logs() == (f"a\n{END}", f"b\n{END}")


def test_lines_are_written_when_they_end(py: Guest) -> None:
    py.must_init("import os, time\ndef main(args):\n    print('now')\n    os.kill(os.getpid(), 9)\n")
    py.try_post("/run", {"value": {}})
    assert py.logs() == ("now\n", "")


def test_output_of_child_processes_bytes_and_redirections(py: Guest) -> None:
    code = (
        "import contextlib, io, subprocess, sys\ndef main(args):\n"
        "    subprocess.run(['/bin/echo', 'child'])\n    sys.stdout.buffer.write(b'bytes\\n')\n"
        "    print('\\ud800')\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as caught:\n        print('caught')\n"
        "    print('after')\n    sys.stdout.close()\n    return {'caught': caught.getvalue()}\n"
    )
    py.must_init(code)
    assert py.run().json == {"caught": "caught\n"}
    assert py.logs() == ("child\nbytes\n\\ud800\nafter\n" + END, END)


def test_a_closed_descriptor_does_not_lose_the_sentinel(py: Guest) -> None:
    py.must_init("import os\ndef main(args):\n    os.close(1)\n    os.close(2)\n    return {}\n")
    assert py.run().status == 200
    assert py.logs() == (END, END)


def test_a_copy_that_the_code_forked_does_not_answer(py: Guest) -> None:
    py.must_init(
        "import os, sys\ndef main(args):\n    pid = os.fork()\n    if pid == 0:\n"
        "        if args.get('exit'): sys.exit(0)\n        return {'who': 'child'}\n"
        "    os.waitpid(pid, 0)\n    return {'who': 'parent'}\n"
    )
    for value in ({}, {"exit": 1}, {}):
        assert py.run(value).json == {"who": "parent"}
        assert py.logs() == (END, END)


def test_a_synchronous_function_may_return_a_coroutine(py: Guest) -> None:
    py.must_init(
        "import asyncio\nasync def work():\n    await asyncio.sleep(0)\n    return {'a': 1}\ndef main(args):\n    return work()\n"
    )
    assert py.run().json == {"a": 1}


def test_the_helper_module(py: Guest) -> None:
    code = (
        "import upwhisk_action as u\ndef main(args):\n"
        "    return [u.activation_id(), u.transaction_id(), u.deadline_ms(), u.remaining_ms() > 0, u.namespace(),"
        " u.action_name(), u.action_version(), u.api_key()]\n"
    )
    py.must_init(code)
    deadline = 99999999999999
    fields = {
        "transaction_id": "t",
        "namespace": "n",
        "action_name": "/n/a",
        "action_version": "1.0.0",
        "api_key": "k",
    }
    answer = py.run({}, activation_id=ID, deadline=str(deadline), **fields)
    assert answer.json == [ID, "t", deadline, True, "n", "/n/a", "1.0.0", "k"]
    assert py.run().json == ["", "", 0, False, "", "", "", ""]


def test_several_connections_are_served(py: Guest) -> None:
    py.must_init("def main(args):\n    return args\n")
    clients = [py.connect() for _ in range(3)]
    for _ in range(2):
        for number, client in enumerate(clients):
            client.send_post("/run", b'{"value": {"n": %d}}' % number)
        for number, client in enumerate(clients):
            answer = client.receive()
            assert answer is not None
            assert answer.json == {"n": number}
    assert py.logs()[0].count(SENTINEL) == 6
