"""Sequences: the checks at PUT, and what updates keep. Sections 5.4 and 15."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from api.client import Answer, Client

Fresh = Callable[[str], str]
PYTHON = {"exec": {"kind": "python:3", "code": "def main(args): return args"}}


def sequence(*components: str, **more: Any) -> dict[str, Any]:
    return {"exec": {"kind": "sequence", "components": list(components)}, **more}


async def put(client: Client, name: str, *components: str) -> Answer:
    return await client.put(f"actions/{name}?overwrite=true", sequence(*components))


async def test_components_are_stored_resolved(client: Client, fresh: Fresh) -> None:
    a, s = fresh("a"), fresh("s")
    await client.put(f"actions/{a}", PYTHON)
    action = (await client.put(f"actions/{s}", sequence(f"/_/{a}", f"{client.target.namespace}/{a}"))).json
    full = f"/{client.target.namespace}/{a}"
    assert action["exec"] == {"kind": "sequence", "components": [full, full]}
    assert action["parameters"] == [{"key": "_actions", "value": [full, full]}]
    assert {"key": "exec", "value": "sequence"} in action["annotations"]
    rows = (await client.get("actions")).json
    assert next(r for r in rows if r["name"] == s)["exec"] == {"binary": False}


async def test_refusals(client: Client, fresh: Fresh) -> None:
    a, s, t = fresh("a"), fresh("s"), fresh("s")
    await client.put(f"actions/{a}", PYTHON)
    assert (await put(client, s, "/_/missing")).error == "Sequence component does not exist."
    assert (await put(client, s, *[f"/_/{a}"] * 51)).error == "Too many actions in the sequence."
    assert (await put(client, s, f"/_/{s}")).error == "Sequence may not refer to itself."
    bare = await put(client, s, a)
    assert bare.status == 400
    assert bare.error.endswith(
        "The fully qualified name of the entity must contain at least the namespace and the name of the entity."
    )
    assert (await put(client, s, *[f"/_/{a}"] * 26)).status == 200
    nested = await put(client, t, f"/_/{s}", f"/_/{s}")
    assert (nested.status, nested.error) == (400, "Too many actions in the sequence.")
    assert (await put(client, t, f"/_/{s}")).status == 200
    indirect = await put(client, s, f"/_/{t}")
    assert (indirect.status, indirect.error) == (400, "Sequence may not refer to itself.")


async def test_foreign_components(client: Client, other: Client, fresh: Fresh) -> None:
    p, a, s = fresh("p"), fresh("a"), fresh("s")
    space = client.target.namespace
    await client.put(f"packages/{p}", {})
    await client.put(f"actions/{p}/{a}", PYTHON)
    refused = await put(other, s, f"/{space}/{p}/{a}")
    assert (refused.status, refused.error) == (
        403,
        f"The supplied authentication is not authorized to access '{space}/{p}'.",
    )
    await client.put(f"packages/{p}?overwrite=true", {"publish": True})
    assert (await put(other, s, f"/{space}/{p}/{a}")).status == 200
    assert (await other.post(f"actions/{s}?blocking=true")).status == 200
    await client.put(f"packages/{p}?overwrite=true", {"publish": False})
    refused = await other.post(f"actions/{s}?blocking=true")
    assert (refused.status, refused.error) == (
        403,
        f"The supplied authentication is not authorized to access '{space}/{p}'.",
    )


async def test_updates(client: Client, fresh: Fresh) -> None:
    a, s = fresh("a"), fresh("s")
    await client.put(f"actions/{a}", PYTHON)
    notes = [{"key": "keep", "value": 1}]
    await client.put(
        f"actions/{s}", sequence(f"/_/{a}", annotations=notes, parameters=[{"key": "x", "value": 1}])
    )
    components = [{"key": "_actions", "value": [f"/{client.target.namespace}/{a}"]}]
    kept = await client.put(f"actions/{s}?overwrite=true", {"parameters": [{"key": "x", "value": 1}]})
    assert kept.json["parameters"] == components
    # A body whose exec is a sequence loses its delAnnotations.
    again = await client.put(f"actions/{s}?overwrite=true", sequence(f"/_/{a}", delAnnotations=["keep"]))
    assert {"key": "keep", "value": 1} in again.json["annotations"]
    gone = await client.put(f"actions/{s}?overwrite=true", {"delAnnotations": ["keep"]})
    assert {"key": "keep", "value": 1} not in gone.json["annotations"]
    plain = await client.put(f"actions/{s}?overwrite=true", PYTHON)
    assert plain.json["parameters"] == []
    assert plain.json["exec"]["kind"].startswith("python:3.")
