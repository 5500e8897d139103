"""/init and /run of the Node proxy: the stock proxy's recorded answers, texts and streams."""

from __future__ import annotations

import pytest
from contracts.runtimes.guest import END, ID, Guest

from upwhisk.common.spi.containers import SENTINEL

STOPPED = {"error": "System not ready, status is stopped."}
FAILED = "Initialization has failed due to: "
HELLO = "function main(args) { return { hello: args.name }; }"


def test_good_code(js: Guest) -> None:
    answer = js.init(HELLO)
    assert (answer.status, answer.text) == (200, '{"OK":true,"concurrent":false}')
    assert js.logs() == ("", "")
    answer = js.run({"name": "you"})
    assert (answer.status, answer.text) == (200, '{"hello":"you"}')
    assert js.logs() == (END, END)


def test_run_before_init(js: Guest) -> None:
    answer = js.run()
    assert (answer.status, answer.text) == (403, '{"error":"System not initialized."}')
    assert SENTINEL not in "".join(js.logs())


def test_a_second_init(js: Guest) -> None:
    js.must_init(HELLO)
    assert js.init(HELLO).status == 403
    assert js.logs() == ("", "Internal system error: Cannot initialize the action more than once.\n")


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 403, "Missing main/no code to execute."),
        (b"[]", 403, "Missing main/no code to execute."),
        (b"null", 403, "Missing main/no code to execute."),
        (b'{"value": {"code": 5}}', 403, "Missing main/no code to execute."),
        (b'{"value"', 500, "Bad request."),
        (b"[" * 200_000, 500, "Bad request."),
    ],
)
def test_refused_requests(js: Guest, body: bytes, status: int, error: str) -> None:
    answer = js.post("/init", body)
    assert (answer.status, answer.json) == (status, {"error": error})
    assert js.logs() == ("", "")
    js.must_init(HELLO)


@pytest.mark.parametrize(
    ("code", "begins"),
    [
        ("function main(args {", "SyntaxError: "),
        ("export function main() {}", "SyntaxError: Unexpected token 'export'\n    at "),
        ("throw new Error('it');", "Error: it\n    at "),
        ("throw 'text';", "text"),
        ("const main = require('nothing');", "Error: Cannot find module 'nothing'"),
    ],
)
def test_code_that_fails_while_it_is_loaded(js: Guest, code: str, begins: str) -> None:
    answer = js.init(code)
    assert answer.status == 502
    assert answer.json["error"].startswith(FAILED + begins)
    out, err = js.logs()
    assert out == END
    assert err.endswith(END)
    again = js.init(HELLO)
    assert (again.status, again.json) == (403, STOPPED)
    assert js.logs() == ("", "Internal system error: System not ready, status is stopped.\n")


@pytest.mark.parametrize("code", ["function foo() {}", "const main = 5;"])
def test_missing_entry_point(js: Guest, code: str) -> None:
    answer = js.init(code)
    assert (answer.status, answer.json) == (
        502,
        {"error": FAILED + "Action entrypoint 'main' is not a function."},
    )


@pytest.mark.parametrize(
    "code",
    [
        "exports.main = () => ({ a: 1 });",
        "module.exports.main = () => ({ a: 1 });",
        "const main = () => ({ a: 1 });",
    ],
)
def test_ways_to_name_the_entry_point(js: Guest, code: str) -> None:
    js.must_init(code)
    assert js.run().text == '{"a":1}'


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        ("return { a: [1, 2] };", 200, '{"a":[1,2]}'),
        ("return [1, 2];", 200, "[1,2]"),
        ("return null;", 200, "null"),
        ("return;", 200, "{}"),
        ("return { error: 'x', k: 1 };", 200, '{"error":"x","k":1}'),
        ("return { a: NaN, b: undefined };", 200, '{"a":null}'),
        ("return Promise.resolve({ a: 1 });", 200, '{"a":1}'),
        ("return Promise.resolve();", 200, "{}"),
        ("return { then(ok) { ok({ a: 1 }); } };", 200, '{"a":1}'),
        ("return new Promise((ok) => setTimeout(ok, 5, { a: 1 }));", 200, '{"a":1}'),
        ("return Promise.reject({ a: 1 });", 200, '{"error":{"a":1}}'),
        ("return Promise.reject('x');", 200, '{"error":"x"}'),
        ("return Promise.reject();", 200, '{"error":{}}'),
        ("return 'x';", 502, '{"error":"The action did not return a dictionary."}'),
        ("return 5;", 502, '{"error":"The action did not return a dictionary."}'),
        ("return { a: 1n };", 500, '{"error":"Internal error."}'),
        ("const o = {}; o.o = o; return o;", 500, '{"error":"Internal error."}'),
        ("let o = []; for (let i = 0; i < 1e5; i++) o = [o]; return o;", 500, '{"error":"Internal error."}'),
    ],
)
def test_results_that_keep_the_guest(js: Guest, body: str, status: int, answer: str) -> None:
    js.must_init(f"function main(args) {{ {body} }}")
    for _ in range(2):
        found = js.run()
        assert (found.status, found.text) == (status, answer)
        out, err = js.logs()
        assert out == END
        assert err.endswith(END)


def test_a_rejection_with_an_error(js: Guest) -> None:
    js.must_init(
        "async function main() { const e = new TypeError('bad é'); e.self = e; e.extra = [1]; throw e; }"
    )
    error = js.run().json["error"]
    assert (error["name"], error["message"], error["extra"]) == ("TypeError", "bad é", [1])
    assert error["stack"].startswith("TypeError: bad é\n    at ")
    assert js.run().status == 200


def test_a_text_says_what_it_should_have_been(js: Guest) -> None:
    js.must_init("function main() { return 'x'; }")
    js.run()
    assert js.logs() == (END, f'Result must be of type object but has type "string": x\n{END}')


@pytest.mark.parametrize(
    ("statement", "error"),
    [("throw new Error('boom')", "Error: boom"), ("throw 's'", "s"), ("null.x()", "TypeError: ")],
)
def test_a_throw_stops_the_guest(js: Guest, statement: str, error: str) -> None:
    js.must_init(f"function main() {{ {statement}; }}")
    answer = js.run()
    assert answer.status == 502
    assert answer.json["error"].startswith(f"An error has occurred: {error}")
    out, err = js.logs()
    assert out == END
    assert error in err
    later = js.run()
    assert (later.status, later.json) == (403, STOPPED)


def test_an_exit_closes_the_connection(js: Guest) -> None:
    js.must_init("function main() { console.log('before'); process.exit(3); }")
    assert js.try_post("/run", {"value": {}}) is None
    assert js.wait_for_exit() == 3
    assert js.logs()[0] == "before\n"


def test_an_uncaught_exception_ends_the_guest(js: Guest) -> None:
    js.must_init(
        "function main() { setImmediate(() => { throw new Error('late'); }); return new Promise(() => {}); }"
    )
    assert js.try_post("/run", {"value": {}}) is None
    js.wait_for_exit()
    assert "Error: late" in js.logs()[1]


def test_broken_json_keeps_the_guest(js: Guest) -> None:
    js.must_init(HELLO)
    answer = js.post("/run", b'{"value"')
    assert (answer.status, answer.json) == (500, {"error": "Bad request."})
    assert js.post("/run", {}).text == "{}"
    assert js.post("/run", b"").text == "{}"


def test_variables_and_streams(js: Guest) -> None:
    js.must_init(
        "function main() { process.stdout.write('a'); process.stderr.write(Buffer.from('b'));"
        " require('child_process').execSync('echo child', { stdio: 'inherit' });"
        " return { id: process.env.__OW_ACTIVATION_ID, x: process.env.X, y: process.env.Y }; }",
        env={"X": 1, "Y": {"k": [1]}},
    )
    for activation_id in (ID, ID[::-1]):
        assert js.run({}, activation_id=activation_id).json == {
            "id": activation_id,
            "x": "1",
            "y": '{"k":[1]}',
        }
        out, err = js.logs()
        assert out in (f"achild\n\n{END}", f"achild\n{END}")
        assert err == f"b\n{END}"


def test_gc_import_and_helper(js: Guest) -> None:
    js.must_init(
        "async function main() { gc(); const { join } = await import('node:path'); const u = require('upwhisk_action');"
        " return [typeof global.gc, join('a', 'b'), u.activationId(), u.deadlineMs(), require.resolve('fs')]; }"
    )
    answer = js.run({}, activation_id=ID, deadline="5")
    assert answer.json == ["function", "a/b", ID, 5, "fs"]


def test_one_run_at_a_time(js: Guest) -> None:
    js.must_init(
        "let release; function main(a) { if (a.wait) return new Promise((ok) => { console.log('in'); release = ok; }); }"
    )
    first = js.connect()
    first.send_post("/run", b'{"value": {"wait": 1}}')
    js.wait_for_log(0, "in\n")
    answer = js.run()
    assert (answer.status, answer.json) == (403, {"error": "System not ready, status is running."})
