"""The lines that scripts compare, against the real API."""

from __future__ import annotations

import json
import re

import pytest
from cli.command import Command

VALID = "A valid qualified name must be specified."
USAGE = "Run 'upwhisk --help' for usage.\n"


@pytest.fixture
async def deployed(upwhisk: Command) -> Command:
    (upwhisk.folder / "hello.py").write_text("def main(args):\n    return args\n")
    for arguments in (
        "action create hello hello.py -p who World -a description Greets",
        "trigger create upload",
        "rule create on-upload upload hello",
        "package create images --shared",
    ):
        done = await upwhisk(*arguments.split())
        assert done.code == 0, done.err
    return upwhisk


async def test_the_life_of_each_kind_of_entity(upwhisk: Command) -> None:
    (upwhisk.folder / "hello.py").write_text("def main(args):\n    return args\n")
    for arguments, line in (
        ("action create hello hello.py", "ok: created action hello"),
        ("action update hello -m 128", "ok: updated action hello"),
        ("action update /guest/hello -m 128", "ok: updated action hello"),
        ("trigger create t", "ok: created trigger t"),
        ("trigger update t -p a 1", "ok: updated trigger t"),
        ("rule create r t hello", "ok: created rule r"),
        ("rule update r t hello", "ok: updated rule r"),
        ("rule disable r", "ok: disabled rule r"),
        ("rule status r", "ok: rule r is inactive"),
        ("rule enable r", "ok: enabled rule r"),
        ("rule status r", "ok: rule r is active"),
        ("rule delete r --disable", "ok: deleted rule r"),
        ("trigger delete t", "ok: deleted trigger t"),
        ("package create p", "ok: created package p"),
        ("package update p -p a 1", "ok: updated package p"),
        ("action create p/inner hello.py", "ok: created action p/inner"),
        ("action delete p/inner", "ok: deleted action p/inner"),
        ("package delete p", "ok: deleted package p"),
        ("action delete hello", "ok: deleted action hello"),
    ):
        done = await upwhisk(*arguments.split())
        assert (done.code, done.out, done.err) == (0, f"{line}\n", ""), arguments


async def test_getting(deployed: Command) -> None:
    for noun, name in (("action", "hello"), ("trigger", "upload"), ("rule", "on-upload"), ("package", "images")):
        done = await deployed(noun, "get", name)
        assert done.code == 0
        assert done.lines[0] == f"ok: got {noun} {name}"
        entity = json.loads(done.out.partition("\n")[2])
        assert entity["name"] == name
        assert done.out.partition("\n")[2] == json.dumps(entity, indent=4, ensure_ascii=False) + "\n"
    done = await deployed("action", "get", "hello", "LIMITS")
    assert done.lines[0] == "ok: got action hello, displaying field LIMITS"
    assert json.loads(done.out.partition("\n")[2])["memory"] == 256
    done = await deployed("action", "get", "hello", "--url")
    assert done.lines == ["ok: got action hello", f"{deployed.url}/api/v1/namespaces/guest/actions/hello"]
    done = await deployed("action", "get", "hello", "--summary")
    assert done.lines == ["action /guest/hello: Greets", "   (parameters: *who)"]
    done = await deployed("action", "get", "hello", "--save-as", "copy.py")
    assert done.out == f"ok: saved action code to {deployed.folder}/copy.py\n"
    assert (deployed.folder / "copy.py").read_text() == (deployed.folder / "hello.py").read_text()


async def test_lists(deployed: Command) -> None:
    kind = (await deployed("action", "get", "hello", "exec")).out.split('"kind": "')[1].split('"')[0]
    expected = {
        "packages": [f"{'/guest/images':<70} shared"],
        "actions": [f"{'/guest/hello':<70} private {kind}"],
        "triggers": [f"{'/guest/upload':<70} private"],
        "rules": [f"{'/guest/on-upload':<70} {'private':<20} active"],
    }
    for collection, rows in expected.items():
        done = await deployed(collection.removesuffix("s"), "list")
        assert (done.code, done.lines) == (0, [collection, *rows])
    everything = ["Entities in namespace: default", *(line for c, rows in expected.items() for line in (c, *rows))]
    assert (await deployed("list")).lines == everything
    assert (await deployed("namespace", "get", "/guest")).lines == ["Entities in namespace: guest", *everything[1:]]
    assert (await deployed("namespace", "list")).lines == ["namespaces", "guest"]
    assert (await deployed("rule", "list", "/guest")).lines == ["rules", *expected["rules"]]


async def test_calls_and_their_records(deployed: Command) -> None:
    done = await deployed("action", "invoke", "hello")
    found = re.fullmatch(r"ok: invoked /_/hello with id ([0-9a-f]{32})\n", done.out)
    assert found is not None
    id = found[1]  # noqa: A001
    done = await deployed("action", "invoke", "/guest/hello", "-b", "-p", "n", "1")
    assert re.match(r"ok: invoked /guest/hello with id [0-9a-f]{32}\n\{\n    \"", done.out)
    done = await deployed("action", "invoke", "hello", "-r", "-p", "n", "[1]")
    assert done.data == {"who": "World", "n": [1]}
    done = await deployed("action", "invoke", "hello", "-r", "-p", "__outcome", "application error")
    assert (done.code, done.data) == (246, {"error": "as asked"})
    done = await deployed("action", "invoke", "hello", "-b", "-p", "__outcome", "never")
    assert done.code == 202
    assert re.fullmatch(
        r"ok: invoked /_/hello, but the request has not yet finished, with id [0-9a-f]{32}\n", done.out
    )
    done = await deployed("action", "invoke", "hello", "-b", "-p", "__outcome", "array")
    assert re.match(r"ok: invoked /_/hello with id [0-9a-f]{32}\n\[\n", done.out), "the header names it"
    done = await deployed("activation", "get", id)
    assert done.lines[:2] == [f"ok: got activation {id}", "{"]
    done = await deployed("activation", "get", id, "activationId")
    assert done.lines == [f"ok: got activation {id}, displaying field activationId", f'"{id}"']
    assert (await deployed("activation", "result", id)).data == {"who": "World"}
    assert (await deployed("activation", "logs", id)).code == 0
    done = await deployed("trigger", "fire", "upload")
    assert re.fullmatch(r"ok: triggered /_/upload with id [0-9a-f]{32}\n", done.out)
    listed = (await deployed("activation", "list")).lines
    assert listed[0].startswith("Datetime            Activation ID                    Kind")
    assert any(" guest/hello:0.0.1" in line and " application error " in line for line in listed)
    assert len((await deployed("activation", "list", "hello", "-l", "2")).lines) == 3
    assert (await deployed("activation", "list", "/guest")).lines == listed


async def test_refusals_of_the_platform(deployed: Command) -> None:
    missing, conflict = r"The requested resource does not exist\. \(code \w{32}\)\n", r"resource already exists \(code \w{32}\)\n"
    for arguments, code, text in (
        ("action get no", 148, f"Unable to get action 'no': {missing}"),
        ("action delete no", 148, f"Unable to delete action 'no': {missing}"),
        ("action invoke no", 148, f"Unable to invoke action 'no': {missing}"),
        ("action create hello hello.py", 153, f"Unable to create action 'hello': {conflict}"),
        ("action update hello -t 1", 144, r"Unable to update action: "),
        ("trigger get no", 148, f"Unable to get trigger 'no': {missing}"),
        ("trigger fire no", 148, f"Unable to fire trigger 'no': {missing}"),
        ("trigger create upload", 153, f"Unable to create trigger 'upload': {conflict}"),
        ("trigger delete no", 148, f"Unable to get trigger 'no': {missing}"),
        ("rule enable no", 148, f"Unable to enable rule 'no': {missing}"),
        ("rule disable no", 148, f"Unable to disable rule 'no': {missing}"),
        ("rule delete no", 148, f"Unable to delete rule 'no': {missing}"),
        ("rule create x upload no", 144, r"Unable to create rule 'x': action /guest/no does not exist \(code "),
        ("package get no", 148, r"Unable to get package 'no': The requested resource 'guest/no' does not exist\. \(code "),
        ("package create images", 153, f"Unable to create package 'images': {conflict}"),
        ("package bind /guest/images b", 245, r"Unable to create binding 'b': .* is not available yet \(code "),
        ("activation get " + "0" * 32, 148, f"Unable to get activation '{'0' * 32}': {missing}"),
        ("activation logs " + "0" * 32, 148, f"Unable to get logs for activation '{'0' * 32}': {missing}"),
        ("activation result " + "0" * 32, 148, f"Unable to get result for activation '{'0' * 32}': {missing}"),
        ("activation get short", 144, r"Unable to get activation 'short': Activation id length is 5 but must be 32\. \(code "),
        ("action list /other", 147, r"Unable to obtain the list of actions for namespace 'other': .* \(code "),
        ("activation list /other", 147, r"Unable to obtain the list of activations for namespace 'other': .* \(code "),
        ("activation list /other/hello", 147, r"Unable to obtain the list of activations for namespace 'other': .* \(code "),
    ):
        done = await deployed(*arguments.split())
        assert (done.code, done.out) == (code, ""), arguments
        assert re.match("error: " + text, done.err), done.err


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ("action create", 1, "Invalid argument(s). An action name and code artifact are required."),
        ("action create a", 2, "Invalid argument(s). An action name and code artifact are required."),
        ("action create a b c", 1, "Invalid argument(s): c. An action name and code artifact are required."),
        ("action update", 1, "Invalid argument(s). An action name is required. A code artifact is optional."),
        ("action create a no.py", 2, "Invalid argument(s). File 'no.py' is not a valid file or it does not exist"),
        ("action create a no.py --kind k --docker d", 149,
         "Invalid argument(s). Cannot specify both --kind and --docker at the same time."),
        ("action create a x.foo", 2, "Invalid argument(s). '.foo' is not a supported action runtime"),
        ("action create a x.foo --kind k --web maybe", 2,
         "Invalid argument(s). Invalid argument 'maybe' for --web flag. Valid input consist of 'yes', 'true', 'raw',"
         " 'false', or 'no'."),
        ("action get", 1, "Invalid argument(s). An action name is required."),
        ("action get a nofield", 2, "Invalid argument(s). Invalid field filter 'nofield'."),
        ("action delete", 1, "Invalid argument(s). An action name is required."),
        ("action delete a b c", 1, "Invalid argument(s): b, c. An action name is required."),
        ("action invoke", 1, "Invalid argument(s). An action name is required."),
        ("action invoke a -p x", 1, "Arguments for '-p' must be a key/value pair"),
        ("action list a b", 1, "Invalid argument(s): b. An optional namespace is the only valid argument."),
        ("activation get", 1, "Invalid argument(s). An activation ID is required."),
        ("activation get --last", 1, "Unable to get activation: Activation list does not contain any activations."),
        ("activation logs", 1, "Invalid argument(s). An activation ID is required."),
        ("activation result", 1, "Invalid argument(s). An activation ID is required."),
        *((command, 1, f"'/guest' is not a valid qualified name: {VALID}") for command in (
            "action get /guest", "action create /guest x.foo --kind k", "action invoke /guest", "action delete /guest",
            "trigger create /guest", "trigger fire /guest", "rule create r t /guest", "rule create r /guest a",
            "rule enable /guest", "package get /guest", "package bind /guest b", "action create s a,/guest --sequence")),
        ("package create", 1, "Invalid argument(s). A package name is required."),
        ("package bind p", 1, "Invalid argument(s). A package name and binding name are required."),
        ("trigger create", 1, "Invalid argument(s). A trigger name is required."),
        ("trigger fire", 1, "Invalid argument(s). A trigger name is required. A payload is optional."),
        ("rule get", 1, "Invalid argument(s). A rule name is required."),
        ("rule create r t", 1, "Invalid argument(s). A rule, trigger and action name are required."),
        ("namespace list x", 1, "Invalid argument(s): x. No arguments are required."),
        ("action frobnicate", 2, "No such command 'frobnicate'."),
        ("action list --frobnicate", 2, "No such option '--frobnicate'."),
    ],
)  # fmt: skip
async def test_wrong_usage(upwhisk: Command, arguments: str, code: int, text: str) -> None:
    (upwhisk.folder / "x.foo").write_text("x")
    done = await upwhisk(*arguments.split())
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(f"error: {text}\n{USAGE}")


@pytest.mark.parametrize("command", ["get", "logs", "result", "why"])
async def test_an_empty_id_is_none(upwhisk: Command, command: str) -> None:
    done = await upwhisk("activation", command, "")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"error: Invalid argument(s). An activation ID is required.\n{USAGE}"


async def test_a_flag_before_its_command(upwhisk: Command) -> None:
    done = await upwhisk("admin", "--data", "x", "user", "list", "guest")
    assert done.code == 2
    assert "hint: --data stands behind the whole command: upwhisk admin ... --data" in done.err


async def test_another_main_for_the_code_that_is_there(deployed: Command) -> None:
    before = json.loads((await deployed("action", "get", "hello", "exec")).out.partition("\n")[2])
    assert (await deployed("action", "update", "hello", "--main", "go")).out == "ok: updated action hello\n"
    assert json.loads((await deployed("action", "get", "hello", "exec")).out.partition("\n")[2]) == {**before, "main": "go"}
    await deployed("action", "get", "hello", "--save-as", "kept.py")
    assert (deployed.folder / "kept.py").read_text() == (deployed.folder / "hello.py").read_text()
    await deployed("action", "create", "seq", "--sequence", "hello,hello")
    done = await deployed("action", "update", "seq", "--main", "go")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: Invalid argument(s). A sequence has no code")


async def test_copies_and_sequences(deployed: Command) -> None:
    assert (await deployed("action", "create", "copy", "--copy", "hello")).out == "ok: created action copy\n"
    assert (await deployed("action", "create", "seq", "--sequence", "hello,/_/copy")).out == "ok: created action seq\n"
    exec_ = json.loads((await deployed("action", "get", "seq", "exec")).out.partition("\n")[2])
    assert exec_["components"] == ["/guest/hello", "/guest/copy"]
    done = await deployed("action", "get", "seq", "--save")
    assert (done.code, done.err) == (2, f"error: Cannot save action sequences\n{USAGE}")


async def test_names_with_blanks_and_foreign_letters(upwhisk: Command) -> None:
    (upwhisk.folder / "x.py").write_text("x")
    assert (await upwhisk("action", "create", "my action@x.y", "x.py")).out == "ok: created action my action@x.y\n"
    assert (await upwhisk("action", "get", "my action@x.y", "name")).lines[1] == '"my action@x.y"'
    done = await upwhisk("action", "get", "é/x?y=1#z")
    assert done.code == 144
    assert "The name of the entity contains illegal characters." in done.err


async def test_forms(deployed: Command) -> None:
    assert (await deployed("action", "list", "--output", "json")).data[0]["name"] == "hello"
    assert "name: hello" in (await deployed("--output", "yaml", "action", "get", "hello")).out
    table = (await deployed("action", "list", "--output", "table")).lines
    assert [line.split()[:2] for line in table] == [["name", "visibility"], ["/guest/hello", "private"]]
    everything = (await deployed("list", "--output", "json")).data
    assert {collection: len(rows) for collection, rows in everything.items()} == {
        "packages": 1, "actions": 1, "triggers": 1, "rules": 1,
    }  # fmt: skip
    assert (await deployed("rule", "status", "on-upload", "--output", "json")).data["status"] == "active"
    assert set((await deployed("action", "invoke", "hello", "--output", "json")).data) == {"activationId"}
    assert (await deployed("action", "delete", "hello", "--output", "json")).data["name"] == "hello"
    assert (await deployed("activation", "list", "--output", "table")).lines[0].startswith("Datetime")


async def test_flags_of_every_command_may_stand_anywhere(upwhisk: Command) -> None:
    for arguments in (
        ("--apihost", upwhisk.url, "action", "list"),
        ("action", "--apihost", upwhisk.url, "list"),
        ("action", "list", "--apihost", upwhisk.url),
    ):
        done = await Command(upwhisk.folder, "http://127.0.0.1:1", upwhisk.key)(*arguments)
        assert (done.code, done.out) == (0, "actions\n")
