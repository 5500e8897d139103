"""Which requests each command sends, and in which order: what stock servers see from `wsk`."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from cli.command import KEY, Command, Recorder

FEED = {"name": "t", "annotations": [{"key": "feed", "value": "/_/p/f"}]}
MISSING = {"error": "The requested resource does not exist.", "code": "tid"}


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        ("property get", ["GET /api/v1/namespaces", "GET /api/v1"]),
        ("property get --namespace", ["GET /api/v1/namespaces"]),
        ("property get --apibuild", ["GET /api/v1"]),
        ("property get --auth", []),
        ("namespace list", ["GET /api/v1/namespaces"]),
        ("action list", ["GET actions?limit=30&skip=0"]),
        ("action list pkg --limit 5 --skip 2", ["GET actions/pkg/?limit=5&skip=2"]),
        ("action list /ns", ["GET /api/v1/namespaces/ns/actions?limit=30&skip=0"]),
        ("action list /ns/pkg", ["GET /api/v1/namespaces/ns/actions/pkg/?limit=30&skip=0"]),
        ("action get a", ["GET actions/a?code=false"]),
        ("action get pkg/a", ["GET actions/pkg/a?code=false"]),
        ("action get /ns/a@b.c", ["GET /api/v1/namespaces/ns/actions/a@b.c?code=false"]),
        ("action delete a", ["DELETE actions/a"]),
        ("action create a code.py", ["PUT actions/a?overwrite=false"]),
        ("action update a code.py", ["GET actions/a?code=false", "PUT actions/a?overwrite=true"]),
        ("action update a -m 512", ["GET actions/a?code=false", "PUT actions/a?overwrite=true"]),
        ("action create a --copy b", ["GET actions/b?code=true", "PUT actions/a?overwrite=false"]),
        ("action update a --copy b",
         ["GET actions/b?code=true", "GET actions/a?code=false", "PUT actions/a?overwrite=true"]),
        ("action invoke a", ["POST actions/a?blocking=false&result=false"]),
        ("action invoke a -b", ["POST actions/a?blocking=true&result=false"]),
        ("action invoke a -r", ["POST actions/a?blocking=true&result=true"]),
        ("activation list", ["GET activations?limit=30&skip=0"]),
        ("activation list a -l 3 --since 5 --upto 9 -f",
         ["GET activations?docs=true&limit=3&name=a&since=5&skip=0&upto=9"]),
        ("activation list p/a", ["GET activations?limit=30&name=p%2Fa&skip=0"]),
        ("activation list /_/a", ["GET activations?limit=30&name=a&skip=0"]),
        ("activation list /ns", ["GET /api/v1/namespaces/ns/activations?limit=30&skip=0"]),
        ("activation list /ns/p/a", ["GET /api/v1/namespaces/ns/activations?limit=30&name=p%2Fa&skip=0"]),
        ("activation list --since 0 --upto 0", ["GET activations?limit=30&since=0&skip=0&upto=0"]),
        ("activation get abc", ["GET activations/abc"]),
        ("activation get abc --logs", ["GET activations/abc"]),
        ("activation logs abc", ["GET activations/abc/logs"]),
        ("activation result abc", ["GET activations/abc/result"]),
        ("trigger create t", ["PUT triggers/t?overwrite=false"]),
        ("trigger update t", ["GET triggers/t", "PUT triggers/t?overwrite=true"]),
        ("trigger get t", ["GET triggers/t"]),
        ("trigger delete t", ["GET triggers/t", "DELETE triggers/t"]),
        ("trigger list", ["GET triggers?limit=30&skip=0"]),
        ("trigger fire t", ["POST triggers/t"]),
        ("rule create r t a", ["PUT rules/r?overwrite=false"]),
        ("rule update r t a", ["PUT rules/r?overwrite=true"]),
        ("rule get r", ["GET rules/r"]),
        ("rule status r", ["GET rules/r"]),
        ("rule enable r", ["POST rules/r"]),
        ("rule disable r", ["POST rules/r"]),
        ("rule delete r", ["DELETE rules/r"]),
        ("rule delete r --disable", ["POST rules/r", "DELETE rules/r"]),
        ("package create p", ["PUT packages/p?overwrite=false"]),
        ("package update p", ["PUT packages/p?overwrite=true"]),
        ("package bind /ns/p b", ["PUT packages/b?overwrite=false"]),
        ("package bind /ns/p b -o", ["PUT packages/b?overwrite=true"]),
        ("package get p", ["GET packages/p"]),
        ("package list /ns", ["GET /api/v1/namespaces/ns/packages?limit=30&skip=0"]),
        ("package delete p", ["DELETE packages/p"]),
    ],
)  # fmt: skip
async def test_requests(recorded: Command, server: Recorder, arguments: str, lines: list[str]) -> None:
    (recorded.folder / "code.py").write_text("def main(args):\n    return args\n")
    server.answers["GET actions/b?code=true"] = (200, {"exec": {"kind": "k", "code": "c"}})
    done = await recorded(*arguments.split())
    assert (done.code, done.err) == (0, "")
    assert server.lines == lines


@pytest.mark.parametrize("arguments", [("list",), ("namespace", "get")])
async def test_listing_everything_asks_for_each_rule(
    recorded: Command, server: Recorder, arguments: tuple[str, ...]
) -> None:
    rules = [{"namespace": "_", "name": "r1"}, {"namespace": "_", "name": "r 2"}]
    server.answers["GET rules?limit=0&skip=0"] = (200, rules)
    assert (await recorded(*arguments)).code == 0
    assert server.lines == [
        "GET actions?limit=0&skip=0",
        "GET packages?limit=0&skip=0",
        "GET triggers?limit=0&skip=0",
        "GET rules?limit=0&skip=0",
        "GET rules/r1",
        "GET rules/r%202",
    ]


async def test_the_latest_activation_is_looked_up(recorded: Command, server: Recorder) -> None:
    server.answers["GET activations?limit=1&skip=0"] = (200, [{"activationId": "abc"}])
    for command, route in (("get", ""), ("logs", "/logs"), ("result", "/result")):
        server.asked.clear()
        await recorded("activation", command, "--last")
        assert server.lines == ["GET activations?limit=1&skip=0", f"GET activations/abc{route}"]
        if command != "get":  # which takes a field
            done = await recorded("activation", command, "--last", "hello")
            assert (done.code, done.out) == (1, "")
            assert done.err.startswith("error: Invalid argument(s): hello. An activation ID is required.\n")


async def _body(recorded: Command, server: Recorder, *arguments: str) -> Any:
    server.asked.clear()
    done = await recorded(*arguments)
    assert done.code == 0, done.err
    return server.asked[-1].body


async def test_bodies_hold_only_what_was_said(recorded: Command, server: Recorder) -> None:
    (recorded.folder / "code.js").write_text("1 < 2 && 'ä'")
    (recorded.folder / "params.json").write_text('{"x": {"y": 1}, "z": 0}')
    created = await _body(
        recorded, server, "action", "create", "p/a", "code.js", "-p", "k", "v", "-P", "params.json", "-p", "z", "[1]",
        "-a", "d", "text", "-t", "1000", "-m", "128", "-l", "1", "-c", "5", "--main", "go",
    )  # fmt: skip
    assert created == {
        "namespace": "_",
        "name": "p/a",
        "exec": {"kind": "nodejs:default", "code": "1 < 2 && 'ä'", "main": "go"},
        "annotations": [{"key": "d", "value": "text"}],
        "parameters": [{"key": "x", "value": {"y": 1}}, {"key": "z", "value": [1]}, {"key": "k", "value": "v"}],
        "limits": {"timeout": 1000, "memory": 128, "logs": 1, "concurrency": 5},
    }
    only_limits = await _body(recorded, server, "action", "update", "a", "-m", "512")
    assert only_limits == {"namespace": "_", "name": "a", "limits": {"memory": 512}}
    assert await _body(recorded, server, "trigger", "update", "t") == {"name": "t"}
    assert await _body(recorded, server, "action", "invoke", "a") == {}
    assert await _body(recorded, server, "action", "invoke", "a", "-p", "n", "1") == {"n": 1}
    assert await _body(recorded, server, "trigger", "fire", "t", '{"a": 1}', "-p", "b", "2") == {"a": 1, "b": 2}
    assert await _body(recorded, server, "trigger", "fire", "t", "hello") == {"payload": "hello"}
    rule = {"name": "r", "status": "", "trigger": "/_/t", "action": "/ns/p/a"}
    assert await _body(recorded, server, "rule", "create", "r", "t", "/ns/p/a") == rule
    status = {"status": "inactive", "trigger": None, "action": None}
    assert await _body(recorded, server, "rule", "disable", "r") == status
    shared = {"namespace": "_", "name": "p", "publish": True}
    assert await _body(recorded, server, "package", "create", "p", "--shared", "yes") == shared
    assert (await _body(recorded, server, "package", "update", "p", "--shared", "no"))["publish"] is False
    binding = {"binding": {"namespace": "ns", "name": "p"}, "parameters": [{"key": "a", "value": 1}]}
    assert await _body(recorded, server, "package", "bind", "/ns/p", "b", "-p", "a", "1") == binding


async def test_copies_carry_exec_parameters_and_annotations(recorded: Command, server: Recorder) -> None:
    source = {
        "exec": {"kind": "k", "code": "c", "binary": False},
        "parameters": [{"key": "a", "value": 1}],
        "annotations": [{"key": "b", "value": 2}],
        "limits": {"memory": 128},
    }
    server.answers["GET actions/b?code=true"] = (200, source)
    copied = await _body(recorded, server, "action", "create", "a", "--copy", "b", "-p", "new", "1")
    assert copied["exec"] == source["exec"]
    assert copied["parameters"] == [{"key": "new", "value": 1}, {"key": "a", "value": 1}]
    assert copied["annotations"] == source["annotations"]
    assert "limits" not in copied


async def test_how_code_is_run_changes_without_the_code(recorded: Command, server: Recorder) -> None:
    """A flag that was taken and changed nothing would be worse than one that is refused."""
    old = {"kind": "python:3.11", "code": "c", "binary": False}
    with_code = "GET actions/a?code=true"
    server.answers[with_code] = server.answers["GET actions/b?code=true"] = (200, {"exec": old})
    for flag, changed in (("--main", {**old, "main": "run"}), ("--kind", {**old, "kind": "run"})):
        body = await _body(recorded, server, "action", "update", "a", flag, "run", "-m", "512")
        assert body == {"namespace": "_", "name": "a", "exec": changed, "limits": {"memory": 512}}
        assert server.lines == [with_code, "PUT actions/a?overwrite=true"]
        assert (await _body(recorded, server, "action", "create", "a", "--copy", "b", flag, "run"))["exec"] == changed
    body = await _body(recorded, server, "action", "update", "a", "--native")
    assert body["exec"] == {**old, "kind": "blackbox", "image": "openwhisk/dockerskeleton"}
    server.answers[with_code] = (404, MISSING)
    server.asked.clear()
    done = await recorded("action", "update", "a", "--main", "run")
    assert (done.code, server.lines) == (2, [with_code])
    assert done.err.startswith("error: Invalid argument(s). An action name and code artifact are required.\n")


async def test_web_flags_send_the_old_annotations_too(recorded: Command, server: Recorder) -> None:
    old = [{"key": "d", "value": 1}, {"key": "require-whisk-auth", "value": "s"}, {"key": "web-export", "value": True}]
    server.answers["GET actions/a?code=false"] = (200, {"annotations": old})
    body = await _body(recorded, server, "action", "update", "a", "--web", "raw", "--web-secure", "false")
    assert {one["key"]: one["value"] for one in body["annotations"]} == {
        "d": 1, "web-export": True, "raw-http": True, "final": True,
    }  # fmt: skip
    assert body["delAnnotations"] == ["require-whisk-auth"]
    body = await _body(recorded, server, "action", "update", "a", "--del-annotation", "d", "--del-annotation", "e")
    assert body == {"namespace": "_", "name": "a", "delAnnotations": ["d", "e"]}


async def test_feeds_are_told(recorded: Command, server: Recorder) -> None:
    told = {"triggerName": "/_/t", "authKey": KEY}
    feed = "POST actions/p/f?blocking=true&result=false"
    done = await recorded("trigger", "create", "t", "--feed", "/_/p/f", "-p", "cron", "* * * * *", "-T", "mine", "1")
    assert done.code == 0, done.err
    assert server.lines == ["PUT triggers/t?overwrite=false", feed]
    assert server.asked[0].body["annotations"] == [{"key": "feed", "value": "/_/p/f"}]
    assert server.asked[0].body["parameters"] == [{"key": "mine", "value": 1}]
    assert server.asked[1].body == {"cron": "* * * * *", "lifecycleEvent": "CREATE", **told}
    server.answers["GET triggers/t"] = (200, FEED)
    server.asked.clear()
    assert (await recorded("trigger", "delete", "t")).code == 0
    assert server.lines == ["GET triggers/t", feed, "DELETE triggers/t"]
    assert server.asked[1].body == {"lifecycleEvent": "DELETE", **told}


async def test_a_feed_that_fails_takes_its_trigger_along(recorded: Command, server: Recorder) -> None:
    server.answers["POST actions/f?blocking=true&result=false"] = (404, MISSING)
    done = await recorded("trigger", "create", "t", "--feed", "f")
    assert done.code == 148
    assert done.err.startswith("error: Unable to configure feed 'f' of trigger 't': The requested resource does not exist.")
    assert server.lines[-2:] == ["GET triggers/t", "DELETE triggers/t"]


async def test_a_trigger_that_is_not_there_is_created_by_update(recorded: Command, server: Recorder) -> None:
    server.answers["GET triggers/t"] = (404, MISSING)
    assert (await recorded("trigger", "update", "t")).out == "ok: updated trigger t\n"
    server.answers["GET actions/a?code=false"] = (404, MISSING)
    assert (await recorded("action", "update", "a", "--docker", "me/img")).out == "ok: updated action a\n"


async def test_headers(recorded: Command, server: Recorder) -> None:
    await recorded("action", "get", "a")
    await recorded("action", "invoke", "a")
    await recorded("property", "get", "--apibuild")
    get, post, info = (one.headers for one in server.asked)
    assert get["Authorization"] == "Basic " + b64encode(KEY.encode()).decode()
    assert "Content-Type" not in get
    assert post["Content-Type"] == "application/json"
    assert "Authorization" not in info


async def test_answers_decide_the_exit_code(recorded: Command, server: Recorder) -> None:
    blocking, result = "POST actions/a?blocking=true&result=false", "POST actions/a?blocking=true&result=true"
    failed = {"activationId": "abc", "response": {"success": False, "result": {"error": "e"}}}
    server.answers[blocking] = (502, failed)
    done = await recorded("action", "invoke", "a", "-b")
    assert (done.code, done.err) == (246, "")
    assert done.out == "ok: invoked /_/a with id abc\n" + json.dumps(failed, indent=4) + "\n"
    server.answers[result] = (502, {"error": "e"})
    done = await recorded("action", "invoke", "a", "-r")
    assert (done.code, done.data, done.err) == (246, {"error": "e"}, "")
    server.answers[blocking] = (202, {"activationId": "abc"})
    done = await recorded("action", "invoke", "a", "-b")
    assert (done.code, done.err) == (202, "")
    assert done.out == "ok: invoked /_/a, but the request has not yet finished, with id abc\n"
    server.answers[blocking] = (200, failed)
    done = await recorded("action", "invoke", "a", "-b")
    assert done.code == 200
    assert done.err == (
        "error: Unable to invoke action 'a': The connection failed, or timed out. (HTTP status code 200)\n"
    )
    server.answers[blocking] = (502, {"error": "The action did not…", "code": "tid"})
    done = await recorded("action", "invoke", "a", "-b")
    assert (done.code, done.out) == (246, "")
    assert done.err == "error: Unable to invoke action 'a': The action did not… (code tid)\n"
    server.answers[blocking] = (500, "<html>oops</html>")
    done = await recorded("action", "invoke", "a", "-b")
    assert done.code == 244
    assert "The connection failed, or timed out. (HTTP status code 500)" in done.err


async def test_answers_of_any_shape_do_not_break_the_command(recorded: Command, server: Recorder) -> None:
    server.answers["GET actions/a?code=false"] = (200, {"text": "half a pair: \ud800"})
    done = await recorded("action", "get", "a")
    assert done.code == 0
    assert "\\ud800" in done.out
    for page in ("<html>hello</html>", [1, 2], 7, None):
        server.answers["GET actions?limit=30&skip=0"] = server.answers["GET actions/a?code=false"] = (200, page)
        for arguments in (("list",), ("get", "a")):
            done = await recorded("action", *arguments)
            assert (done.code, done.out) == (1, "")
            assert "does not speak OpenWhisk's API" in done.err
    server.answers["POST triggers/t"] = (204, None)
    done = await recorded("trigger", "fire", "t")
    assert (done.code, done.out) == (0, "ok: triggered /_/t with id \n")
    assert done.err.startswith("hint: no active rule")


async def test_verbose_shows_requests_without_the_key(recorded: Command) -> None:
    done = await recorded("-v", "action", "invoke", "a", "-p", "x", "1")
    assert "[POST]" in done.err
    assert '{"x":1}' in done.err
    assert "RESPONSE:Got response with code 200" in done.err
    assert b64encode(KEY.encode()).decode() not in done.err
