"""`upwhisk admin user` and `limits`: texts and exit codes of `wskadmin`."""

from __future__ import annotations

import io
import stat
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from upwhisk.backends.store.memory_entities import MemorySubjects
from upwhisk.controller.admin import operations
from upwhisk.controller.admin_answer import Answer
from upwhisk.controller.api.admin_socket import AdminSocket


class Admin:
    def __init__(self) -> None:
        self.store = MemorySubjects()
        self._operations = operations(self.store)

    async def __call__(self, command: str, **arguments: Any) -> tuple[str, int]:
        answer = await self.ask(command, **arguments)
        return answer.text, answer.code

    async def ask(self, command: str, **arguments: Any) -> Answer:
        return await self._operations[command](arguments)


@pytest.fixture
def admin() -> Admin:
    return Admin()


async def created(admin: Admin, subject: str = "guest", **more: Any) -> str:
    login, code = await admin("user create", subject=subject, **more)
    assert code == 0, login
    user, _, key = login.partition(":")
    assert str(uuid.UUID(user)) == user
    assert len(key) == 64
    return login


async def test_life_of_a_subject(admin: Admin) -> None:
    login = await created(admin)
    assert await admin("user get", subject="guest") == (login, 0)
    assert await admin("user whois", auth=login) == ("subject: guest\nnamespace: guest", 0)
    assert await admin("user create", subject="guest") == ("Namespace already exists", 1)
    second = await created(admin, namespace="space")
    assert await admin("user get", subject="guest", all=True) == (f"guest\t{login}\nspace\t{second}", 0)
    assert await admin("user get", subject="guest", namespace="space") == (second, 0)
    assert await admin("user delete", subject="guest", namespace="space") == ("Namespace deleted", 0)
    gone = 'Namespace "space" does not exist for "guest"'
    assert await admin("user delete", subject="guest", namespace="space") == (gone, 1)
    assert await admin("user get", subject="guest", namespace="space") == (
        'namespace "space" not found for "guest"',
        1,
    )
    assert await admin("user delete", subject="guest") == ("Subject deleted", 0)
    text, code = await admin("user delete", subject="guest")
    assert code == 1
    assert text.startswith("Failed to delete subject (")
    text, code = await admin("user get", subject="guest")
    assert code == 1
    assert text.startswith("Failed to get subject (")
    assert await admin("user whois", auth=login) == ("Subject id is not recognized", 0)
    await created(admin)


async def test_keys(admin: Admin) -> None:
    own = f"{uuid.uuid4()}:{'x' * 64}"
    assert await admin("user create", subject="guest", auth=own) == (own, 0)
    renewed = await created(admin, revoke=True)
    assert renewed != own
    assert await admin("user get", subject="guest") == (renewed, 0)
    assert await admin("user whois", auth=own) == ("Subject id is not recognized", 0)
    text, code = await admin("user create", subject="other", auth=renewed)
    assert code == 1
    assert text.startswith("Failed to create subject (")
    generated, _ = await admin("user create", subject="nobody", genonly=True)
    assert len(generated) == 36 + 1 + 64
    assert (await admin("user get", subject="nobody"))[1] == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"subject": "four"}, "Subject name must be at least 5 characters"),
        ({"subject": "guest", "namespace": " "}, "Namespace must not be empty"),
        ({"subject": "guest", "auth": "x:" + "k" * 64}, "authorization id is not a valid UUID"),
        (
            {"subject": "guest", "auth": f"{uuid.uuid4()}:short"},
            "authorization key must be at least 64 characters long",
        ),
    ],
)
async def test_bad_arguments(admin: Admin, arguments: dict[str, Any], text: str) -> None:
    assert await admin("user create", **arguments) == (text, 2)


async def test_lists(admin: Admin) -> None:
    first = await created(admin, "alice", namespace="space")
    second = await created(admin, "robert", namespace="space")
    assert await admin("user list", namespace="space") == (f"{first}\talice", 0)
    assert await admin("user list", namespace="space", all=True, key=True) == (f"{first}\n{second}", 0)
    assert await admin("user list", namespace="space", pick=2) == (f"{first}\talice\n{second}\trobert", 0)
    assert (await admin("user list", namespace="space", pick=0))[1] == 2
    assert await admin("user list", namespace="none") == ('no identities found for namespace "none"', 0)
    await admin("user block", subjects=["alice"])
    assert await admin("user list", namespace="space") == (f"{second}\trobert", 0)


async def test_blocking(admin: Admin) -> None:
    await created(admin)
    text, code = await admin("user block", subjects=["guest", " ", "nobody", "none1"])
    assert code == 2
    assert text.splitlines()[0] == '"guest" blocked successfully'
    assert text.splitlines()[1].startswith('Failed to block "nobody" (')
    assert await admin("user create", subject="guest", namespace="n") == (
        "The subject you want to edit is blocked",
        1,
    )
    assert await admin("user unblock", subjects=["guest"]) == ('"guest" unblocked successfully', 0)
    await created(admin, namespace="n")


async def test_limits(admin: Admin) -> None:
    none = ("No limits found, default system limits apply", 0)
    assert await admin("limits get", namespace="space") == none
    told = await admin.ask("limits set", namespace="space", limits={"invocationsPerMinute": 5})
    assert (told.text, told.code) == ('Limits successfully set for "space"', 0), "scripts compare the line"
    assert told.hint == "invocationsPerMinute is stored and shown, but not enforced yet."
    told = await admin.ask("limits set", namespace="cut", limits={"truncationSize": "1 KB", "maxPayloadSize": "1 MB"})
    assert told.hint == "truncationSize is stored and shown, but not enforced yet."
    more = {"allowedKinds": ["nodejs:20", "blackbox"], "storeActivations": False, "maxParameterSize": "1 MB"}
    assert await admin.ask("limits set", namespace="space", limits=more) == Answer('Limits successfully set for "space"')
    shown = "invocationsPerMinute = 5\nallowedKinds = ['nodejs:20', 'blackbox']\nstoreActivations = False"
    assert await admin("limits get", namespace="space") == (f"{shown}\nmaxParameterSize = 1 MB", 0)
    wrong_order = {"minActionMemory": 512, "maxActionMemory": 256}
    for bad in (
        {"maxActionMemory": "x"},
        {"unknown": 1},
        {"maxPayloadSize": "large"},
        {"maxActionTimeout": -1},
        {"invocationsPerMinute": -5},
        wrong_order,
    ):
        text, code = await admin("limits set", namespace="space", limits=bad)
        assert code == 1
        assert text.startswith("Failed to set limits (")
    assert await admin("limits delete", namespace="space") == ("Limits deleted", 0)
    text, code = await admin("limits delete", namespace="space")
    assert code == 1
    assert text.startswith("Failed to delete limits (")
    assert await admin("limits get", namespace="space") == none


async def test_unknown_arguments(admin: Admin) -> None:
    assert (await admin("user get", subject="guest", nonsense=1))[1] == 2
    assert (await admin("user get"))[1] == 2


async def ask(path: Path, body: bytes) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.post("http://admin/", data=io.BytesIO(body)) as got,
    ):
        return got.status, await got.json()


async def test_socket(tmp_path: Path, admin: Admin) -> None:
    path = tmp_path / "admin.sock"
    path.write_text("what a dead process left")

    async def fail(_arguments: dict[str, Any]) -> Answer:
        raise ZeroDivisionError

    async with AdminSocket(path, {**operations(admin.store), "fail": fail}):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        body = b'{"command": "user create", "arguments": {"subject": "guest"}}'
        status, answer = await ask(path, body)
        assert (status, answer["code"]) == (200, 0)
        assert (await admin.store.get("guest")) is not None
        assert await ask(path, body) == (200, {"text": "Namespace already exists", "code": 1, "data": None, "hint": ""})
        assert (await ask(path, b"junk"))[0] == 400
        assert (await ask(path, b"x" * 2**21))[0] == 400
        assert (await ask(path, b'{"command": "nothing"}'))[0] == 404
        assert (await ask(path, b'{"command": "fail"}'))[0] == 500
    assert not path.exists()


@pytest.mark.parametrize("name", ["guest/p", "_", " x ", "y" * 257, "ünï cöde/x", ".hidden"])
async def test_names_that_no_namespace_can_have(admin: Admin, name: str) -> None:
    """`guest/p` would be taken for guest's package p."""
    for command, arguments in (
        ("user create", {"subject": "mallory", "namespace": name}),
        ("limits set", {"namespace": name, "limits": {"minActionMemory": 128}}),
    ):
        text, code = await admin(command, **arguments)
        assert (code, "cannot name a namespace" in text) == (2, True)
    if len(name) >= 5:
        assert (await admin("user create", subject=name))[1] == 2
    assert await admin.store.get("mallory") is None


async def test_keys_that_no_client_can_use(admin: Admin) -> None:
    for length in (63, 65):
        text, code = await admin("user create", subject="guest", auth=f"{uuid.uuid4()}:{'k' * length}")
        assert (code, "64 characters" in text) == (2, True)


async def test_answers_as_data(admin: Admin) -> None:
    async def data(command: str, **arguments: Any) -> Any:
        return (await operations(admin.store)[command](arguments)).data

    made = await data("user create", subject="guest")
    auth = made["auth"]
    assert made == {"subject": "guest", "namespace": "guest", "auth": auth}
    assert await data("user get", subject="guest") == {"namespace": "guest", "auth": auth}
    assert await data("user get", subject="guest", all=True) == [{"namespace": "guest", "auth": auth}]
    assert await data("user whois", auth=auth) == {"subject": "guest", "namespace": "guest"}
    assert await data("user list", namespace="guest") == [{"auth": auth, "subject": "guest"}]
    assert await data("user list", namespace="nobody") == []
    await admin("limits set", namespace="guest", limits={"minActionMemory": 128})
    assert await data("limits get", namespace="guest") == {"minActionMemory": 128}
    assert (await data("user create", subject="guest", revoke=True))["auth"] == await _key(admin)


async def _key(admin: Admin) -> str:
    return (await admin("user get", subject="guest"))[0]
