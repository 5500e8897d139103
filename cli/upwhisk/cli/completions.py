"""What a shell offers when the tab key is pressed behind a command: names from the platform, asked for briefly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click
from click.shell_completion import CompletionItem

from upwhisk.cli.failure import Failure
from upwhisk.cli.session import current_session

_TIMEOUT_S = 0.5
_AT_MOST = 200
Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def completer(names: Sequence[str]) -> Completer:
    """`names`: for each position a collection, `file` for a path, an empty text for anything."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        given = context.params.get(parameter.name or "") or ()
        position = min(len(given), len(names) - 1) if isinstance(given, tuple) else 0
        what = names[position] if names else ""
        if what in ("", "file"):
            return [CompletionItem(incomplete, type="file")] if what else []
        return [CompletionItem(name) for name in _names(context, what) if name.startswith(incomplete)]

    return complete


def _names(context: click.Context, collection: str) -> list[str]:
    """Empty when the platform cannot be asked: a shell's prompt is no place for errors."""
    from upwhisk.cli.client import Client

    try:
        with context.scope(cleanup=False):
            session = current_session()
        client = Client(session.properties, insecure=bool(session.flags.get("insecure")), timeout_s=_TIMEOUT_S)
        rows = client.rows(collection, {"limit": _AT_MOST, "skip": 0})
    except Failure:
        return []
    if collection == "activations":
        return [str(row["activationId"]) for row in rows]
    return ["/".join([*str(row["namespace"]).split("/")[1:], str(row["name"])]) for row in rows]
