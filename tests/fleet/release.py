"""The command line of another release: `release.py FORM OTHERS COMMAND...` writes messages of form FORM and reads OTHERS too
(numbers with commas, or `-`). The forms differ by their number alone; what else may differ is for their conversions."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_MESSAGES = "upwhisk.common.messages"
_TODAYS = "\nFORM = 1\n"


def become(form: int, others: list[int]) -> None:
    spec = importlib.util.find_spec(_MESSAGES)
    if spec is None or spec.origin is None:
        raise ImportError(_MESSAGES)
    source = Path(spec.origin).read_text()
    if _TODAYS not in source:
        raise ImportError(f"today's form is not 1 any more: {__file__} has to follow")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MESSAGES] = module
    exec(compile(source.replace(_TODAYS, f"\nFORM = {form}\n"), spec.origin, "exec"), module.__dict__)
    from upwhisk.common import forms

    for other in others:
        forms.READ[other] = dict


def main() -> None:
    form, others, *arguments = sys.argv[1:]
    become(int(form), [] if others == "-" else [int(other) for other in others.split(",")])
    from upwhisk.cli.__main__ import run

    sys.exit(run(arguments))


if __name__ == "__main__":
    main()
