"""What an invoke needs of an action."""

from __future__ import annotations

from upwhisk.common.model.action import Action, Exec
from upwhisk.common.model.package import Package
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.names import EntityName
from upwhisk.controller.resolved import resolve

NAME = EntityName("ns", "p", "a")


def action(*parameters: Parameter, **annotations: object) -> Action:
    notes = tuple(Parameter(key.replace("_", "-"), value) for key, value in annotations.items())
    return Action(
        name=NAME, exec=Exec("python:3.11", code="x"), parameters=parameters, annotations=notes, revision="1"
    )


PACKAGE = Package(
    name=EntityName("ns", None, "p"),
    parameters=(Parameter("a", 1, True), Parameter("b", {"x": 1})),
    publish=True,
)


def test_whole_values_replace_each_other() -> None:
    resolved = resolve(action(Parameter("b", {"y": 2}), Parameter("c", None, True)), PACKAGE)
    assert resolved.parameters == {"a": 1, "b": {"y": 2}, "c": None}
    assert resolved.init_keys == {"a", "c"}
    assert resolved.immutable is None
    assert resolved.shared


def test_final_parameters_are_those_with_a_value() -> None:
    for notes in ({"final": True}, {"web_export": True}):
        assert resolve(action(Parameter("c", None), **notes), PACKAGE).immutable == frozenset({"a", "b"})
    assert resolve(action(final="true"), PACKAGE).immutable is None


def test_annotations() -> None:
    assert resolve(action(), None).provide_api_key
    assert not resolve(action(provide_api_key=False), None).provide_api_key
    assert resolve(action(retry_safe=True), None).retry_safe
    assert resolve(action(network="none"), None).network == "none"
    assert resolve(action(conductor={}), None).conductor
    assert not resolve(action(), None).shared


def test_components() -> None:
    sequence = Action(name=NAME, exec=Exec("sequence", components=("/ns/a", "/o/p/b")))
    assert resolve(sequence, None).components == (EntityName("ns", None, "a"), EntityName("o", "p", "b"))


def test_nothing_stored_on_a_sequence_reaches_its_components() -> None:
    stored = (Parameter("_actions", ["/ns/a"]), Parameter("x", 1, init=True))
    sequence = Action(name=NAME, exec=Exec("sequence", components=("/ns/a",)), parameters=stored)
    resolved = resolve(sequence, PACKAGE)
    assert (resolved.parameters, resolved.init_keys) == ({}, frozenset())
