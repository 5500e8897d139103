"""`upwhisk doctor`."""

from __future__ import annotations

import click

from upwhisk.cli.options import command, group
from upwhisk.cli.session import Session

_hidden = group("", "Holds commands that stand alone.")
_SIGNS = {"ok": ("ok  ", "green"), "note": ("note", "yellow"), "bad": ("BAD ", "red")}


@command(_hidden, "doctor", "doctor", "doctor --output json")
@click.option("--runtimes", default="", metavar="FILE", help="A runtimes manifest of your own (setting guest.runtimes).")
def doctor(session: Session, runtimes: str) -> int:
    """Say what this machine can and cannot do, and how to mend it.

    Starts a confined guest of each runtime and removes all of it again. Run it as the user that will run upwhisk. The
    exit code is 1 if guests cannot be confined here: then upwhisk refuses to start.
    """
    from upwhisk.cli import diagnosis
    from upwhisk.common.logging import configure
    from upwhisk.common.settings import LogSettings

    configure(LogSettings(level="error"))
    findings = diagnosis.diagnose(runtimes)
    code = diagnosis.outcome(findings)
    if session.output.form is not None:
        session.output.data(diagnosis.as_data(findings))
        return code
    for finding in findings:
        sign, colour = _SIGNS[finding.mark]
        session.output.text(f"{click.style(sign, fg=colour)} {finding.topic:<12} {finding.text}")
    session.output.text("Guests can be confined here." if code == 0 else "Guests cannot be confined here: upwhisk would refuse to start.")
    return code
