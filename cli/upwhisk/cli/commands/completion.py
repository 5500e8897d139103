"""`upwhisk completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from upwhisk.cli import texts
from upwhisk.cli.options import command, group
from upwhisk.cli.session import Session

_hidden = group("", "Holds commands that stand alone.")
SHELLS = ("bash", "zsh", "fish")


@command(_hidden, "completion", "completion bash > /etc/bash_completion.d/upwhisk", "completion fish > ~/.config/fish/completions/upwhisk.fish")
@click.argument("shell", type=click.Choice(SHELLS))
def completion(session: Session, shell: str) -> None:
    """Print a completion script.

    It completes commands, flags and, from the platform, the names of actions, triggers, rules and packages. For zsh:
    put it into a folder of $fpath under the name _upwhisk.
    """
    found = get_completion_class(shell)
    assert found is not None
    script = found(click.get_current_context().find_root().command, {}, texts.PROGRAM, f"_{texts.PROGRAM.upper()}_COMPLETE")
    # `source()` would start a shell to ask for its version; the script is the same.
    text = script.source_template % script.source_vars()
    if session.output.form is not None:
        session.output.data({"shell": shell, "script": text})
        return
    click.echo(text)
