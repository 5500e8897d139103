"""`upwhisk admin user ...`: subjects, their namespaces and keys."""

from __future__ import annotations

import secrets
import string
import uuid
from typing import Final

import msgspec

from upwhisk.common.errors import DocumentMissing, RevisionConflict
from upwhisk.common.model.identity import NamespaceKey, Subject
from upwhisk.common.names import is_namespace
from upwhisk.common.spi.store import SubjectStore
from upwhisk.controller.admin_answer import NOT_FOUND, Answer, no_namespace

KEY_LENGTH: Final = 64
MIN_SUBJECT: Final = 5
_ALPHABET: Final = string.ascii_letters + string.digits


class UserCreate(msgspec.Struct, forbid_unknown_fields=True):
    """`auth`: `uuid:key` instead of a random one. `revoke`: a new key for a namespace the subject has already.
    `genonly`: print a key, store nothing."""

    subject: str
    namespace: str | None = None
    auth: str | None = None
    revoke: bool = False
    genonly: bool = False


class UserGet(msgspec.Struct, forbid_unknown_fields=True):
    subject: str
    namespace: str | None = None
    all: bool = False


class UserDelete(msgspec.Struct, forbid_unknown_fields=True):
    subject: str
    namespace: str | None = None


class UserList(msgspec.Struct, forbid_unknown_fields=True):
    namespace: str
    pick: int = 1
    all: bool = False
    key: bool = False


class UserWhois(msgspec.Struct, forbid_unknown_fields=True):
    auth: str


class Subjects(msgspec.Struct, forbid_unknown_fields=True):
    subjects: tuple[str, ...]


def new_key() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(KEY_LENGTH))


def _refused_create(wanted: UserCreate) -> Answer | None:
    if len(wanted.subject) < MIN_SUBJECT:
        return Answer(f"Subject name must be at least {MIN_SUBJECT} characters", 2)
    if wanted.namespace is not None and not wanted.namespace.strip():
        return Answer("Namespace must not be empty", 2)
    if not is_namespace(wanted.namespace or wanted.subject):
        return no_namespace(wanted.namespace or wanted.subject)
    if wanted.auth is None:
        return None
    user, _, key = wanted.auth.partition(":")
    try:
        uuid.UUID(user)
    except ValueError:
        return Answer("authorization id is not a valid UUID", 2)
    if len(key) < KEY_LENGTH:
        return Answer(f"authorization key must be at least {KEY_LENGTH} characters long", 2)
    if len(key) > KEY_LENGTH:
        return Answer(f"authorization key must be {KEY_LENGTH} characters long: no client can log in with a longer one", 2)
    return None


async def create_user(store: SubjectStore, wanted: UserCreate) -> Answer:
    refusal = _refused_create(wanted)
    if refusal is not None:
        return refusal
    user, _, key = (wanted.auth or f"{uuid.uuid4()}:{new_key()}").partition(":")
    namespace = wanted.namespace or wanted.subject
    if wanted.genonly:
        return _login(wanted.subject, namespace, f"{user}:{key}")
    subject = await store.get(wanted.subject) or Subject(wanted.subject)
    if subject.blocked:
        return Answer("The subject you want to edit is blocked", 1)
    held = next((n for n in subject.namespaces if n.name == namespace), None)
    if held is not None and not wanted.revoke:
        return Answer("Namespace already exists", 1)
    if held is not None and wanted.auth is None:
        # A revoked key keeps its uuid, which names the namespace elsewhere.
        user = held.uuid
    others = tuple(n for n in subject.namespaces if n.name != namespace)
    changed = msgspec.structs.replace(subject, namespaces=(*others, NamespaceKey(namespace, user, key)))
    try:
        await store.put(changed)
    except RevisionConflict:
        return Answer("Failed to create subject (the authorization id is in use)", 1)
    return _login(wanted.subject, namespace, f"{user}:{key}")


def _login(subject: str, namespace: str, auth: str) -> Answer:
    return Answer(auth, data={"subject": subject, "namespace": namespace, "auth": auth})


async def get_user(store: SubjectStore, wanted: UserGet) -> Answer:
    subject = await store.get(wanted.subject)
    if subject is None:
        return Answer(f"Failed to get subject ({NOT_FOUND})", 1)
    if wanted.all:
        rows = [{"namespace": n.name, "auth": f"{n.uuid}:{n.key}"} for n in subject.namespaces]
        return Answer("\n".join("\t".join(row.values()) for row in rows), data=rows)
    namespace = wanted.namespace or wanted.subject
    held = next((n for n in subject.namespaces if n.name == namespace), None)
    if held is None:
        return Answer(f'namespace "{namespace}" not found for "{wanted.subject}"', 1)
    login = f"{held.uuid}:{held.key}"
    return Answer(login, data={"namespace": namespace, "auth": login})


async def whois(store: SubjectStore, wanted: UserWhois) -> Answer:
    user, _, key = wanted.auth.partition(":")
    subject = await store.by_uuid(user)
    for held in subject.namespaces if subject is not None else ():
        if held.uuid == user and secrets.compare_digest(held.key.encode(), key.encode()):
            assert subject is not None
            found = {"subject": subject.subject, "namespace": held.name}
            return Answer("\n".join(f"{name}: {value}" for name, value in found.items()), data=found)
    return Answer("Subject id is not recognized")


async def list_users(store: SubjectStore, wanted: UserList) -> Answer:
    if wanted.pick < 1:
        return Answer("pick must be at least 1", 2)
    rows = [
        {"auth": f"{held.uuid}:{held.key}", "subject": subject.subject}
        for subject in await store.by_namespace(wanted.namespace)
        for held in (() if subject.blocked else subject.namespaces)
        if held.name == wanted.namespace
    ]
    if not rows:
        return Answer(f'no identities found for namespace "{wanted.namespace}"', data=[])
    picked = rows if wanted.all else rows[: wanted.pick]
    return Answer("\n".join(row["auth"] if wanted.key else "\t".join(row.values()) for row in picked), data=picked)


async def delete_user(store: SubjectStore, wanted: UserDelete) -> Answer:
    subject = await store.get(wanted.subject)
    if subject is None:
        return Answer(f"Failed to delete subject ({NOT_FOUND})", 1)
    if wanted.namespace is None:
        try:
            await store.delete(wanted.subject)
        except DocumentMissing:
            return Answer(f"Failed to delete subject ({NOT_FOUND})", 1)
        return Answer("Subject deleted")
    kept = tuple(n for n in subject.namespaces if n.name != wanted.namespace)
    if len(kept) == len(subject.namespaces):
        return Answer(f'Namespace "{wanted.namespace}" does not exist for "{wanted.subject}"', 1)
    await store.put(msgspec.structs.replace(subject, namespaces=kept))
    return Answer("Namespace deleted")


async def block(store: SubjectStore, wanted: Subjects) -> Answer:
    return await _set_blocked(store, wanted, blocked=True)


async def unblock(store: SubjectStore, wanted: Subjects) -> Answer:
    return await _set_blocked(store, wanted, blocked=False)


async def _set_blocked(store: SubjectStore, wanted: Subjects, *, blocked: bool) -> Answer:
    word = "block" if blocked else "unblock"
    lines, failed = [], 0
    for name in wanted.subjects:
        if not name.strip():
            continue
        subject = await store.get(name)
        if subject is None:
            failed += 1
            lines.append(f'Failed to {word} "{name}" ({NOT_FOUND})')
            continue
        await store.put(msgspec.structs.replace(subject, blocked=blocked))
        lines.append(f'"{name}" {word}ed successfully')
    return Answer("\n".join(lines), failed)
