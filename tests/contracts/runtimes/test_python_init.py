"""/init of the Python proxy: the stock proxy's recorded answers, texts and streams."""

from __future__ import annotations

import base64

import pytest
from contracts.runtimes.guest import END, Guest, zipped

NO_BINARY = {"error": "The action failed to generate or locate a binary. See logs for details."}
NO_START = {"error": "Cannot start action. Check logs for details."}
HELLO = "def main(args):\n    return {'hello': args.get('name', 'world')}\n"


def test_good_code(py: Guest) -> None:
    answer = py.init(HELLO)
    assert answer.status == 200
    assert answer.json == {"ok": True, "concurrent": False}
    assert answer.text.endswith("\n")
    assert py.logs() == ("", "")


def test_async_code_says_that_it_takes_several_activations(py: Guest) -> None:
    assert py.init("async def main(args):\n    return args\n").json == {"ok": True, "concurrent": True}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "Error unmarshaling request: unexpected end of JSON input"),
        (b'{"value"', "Error unmarshaling request: unexpected end of JSON input"),
        (b"{]", "Error unmarshaling request: invalid character ']' in the request"),
        (
            b"[]",
            "Error unmarshaling request: json: cannot unmarshal array into Go value of type openwhisk.initRequest",
        ),
        (
            b'{"value": {"code": 5}}',
            "Error unmarshaling request: json: cannot unmarshal number into Go struct field initBodyRequest.code",
        ),
        (
            b'{"value": {"code": "!!", "binary": true}}',
            "cannot decode the request: illegal base64 data at input byte 0",
        ),
        (
            b'{"value": {"code": "QUJD=", "binary": true}}',
            "cannot decode the request: illegal base64 data at input byte 4",
        ),
    ],
)
def test_broken_requests_are_refused_without_a_sentinel(py: Guest, body: bytes, error: str) -> None:
    answer = py.post("/init", body)
    assert (answer.status, answer.json) == (400, {"error": error})
    assert py.logs() == ("", "")
    py.must_init(HELLO)


def test_very_deep_json_is_refused(py: Guest) -> None:
    answer = py.post("/init", b'{"value": ' + b"[" * 200_000)
    assert answer.status == 400
    py.must_init(HELLO)


def test_syntax_error(py: Guest) -> None:
    answer = py.init("def main(args)\n    return args\n")
    assert (answer.status, answer.json) == (502, NO_BINARY)
    out, err = py.logs()
    assert out == END
    assert "expected ':'" in err
    assert err.endswith(END)


def test_missing_entry_point(py: Guest) -> None:
    answer = py.init("def foo(args):\n    return args\n")
    assert (answer.status, answer.json) == (502, NO_START)
    out, err = py.logs()
    assert out == END
    assert "cannot import name 'main'" in err
    assert err.endswith("Command exited abruptly during initialization.\n" + END)


@pytest.mark.parametrize(
    "code", ["raise Exception('it')", "import sys; sys.exit(1)", "import nothing_of_the_kind"]
)
def test_code_that_fails_while_it_is_loaded(py: Guest, code: str) -> None:
    answer = py.init(f"print('loading')\n{code}\n{HELLO}")
    assert (answer.status, answer.json) == (502, NO_START)
    out, err = py.logs()
    assert out == "loading\n" + END
    assert err.endswith("Command exited abruptly during initialization.\n" + END)
    assert "upwhisk_guest" not in err


def test_os_exit_while_loading(py: Guest) -> None:
    answer = py.init(f"import os\nprint('loading')\nos._exit(3)\n{HELLO}")
    assert (answer.status, answer.json) == (502, NO_START)
    assert py.logs() == ("loading\n" + END, END)
    assert py.wait_for_exit() == 3


def test_another_attempt_is_allowed_after_a_failed_one(py: Guest) -> None:
    first = zipped({"__main__.py": "import part\nraise Exception('x')", "part.py": "NAME = 'first'"})
    assert py.init(first, binary=True).status == 502
    py.must_init(
        zipped(
            {
                "__main__.py": "import part\ndef main(args):\n    return {'part': part.NAME}",
                "part.py": "NAME = 'second'",
            }
        ),
        binary=True,
    )
    assert py.run().json == {"part": "second"}


def test_code_as_base64_of_plain_text(py: Guest) -> None:
    py.must_init(base64.b64encode(HELLO.encode()).decode(), binary=True)
    assert py.run({"name": "you"}).json == {"hello": "you"}


def test_init_parameters_become_text(py: Guest) -> None:
    code = "import os\nSEEN = dict(os.environ)\ndef main(args):\n    return {k: SEEN[k] for k in 'ABCDE'}\n"
    py.must_init(
        code, env={"A": "x ❄", "B": 1, "C": None, "D": {"k": ["ü"]}, "E": True, "bad=name": "y", "": "z"}
    )
    assert py.run().json == {"A": "x ❄", "B": "1", "C": "", "D": '{"k": ["ü"]}', "E": "true"}


def test_the_code_is_a_module_that_can_be_imported(py: Guest) -> None:
    code = (
        "import main__, inspect, pickle\nclass Thing:\n    pass\n"
        "def main(args):\n    return {'name': __name__, 'same': main__.main is main,"
        " 'source': inspect.getsource(Thing), 'copy': type(pickle.loads(pickle.dumps(Thing()))).__name__}\n"
    )
    py.must_init(code)
    assert py.run().json == {
        "name": "main__",
        "same": True,
        "source": "class Thing:\n    pass\n",
        "copy": "Thing",
    }


def test_other_routes_and_methods(py: Guest) -> None:
    assert py.post("/other", {}).status == 404
    client = py.connect()
    client.send(b"GET /init HTTP/1.1\r\n\r\n")
    answer = client.receive()
    assert answer is not None
    assert answer.status == 405
