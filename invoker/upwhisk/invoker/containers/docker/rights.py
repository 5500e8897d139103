"""What a platform that is root may still be refused, and where it gets it. Pure."""

from __future__ import annotations

_REMEDY = "under systemd install the drop-in compose/systemd/docker.conf (docs/systemd.md)"
NO_PTRACE = f"CAP_SYS_PTRACE is missing, to open the network namespace of a guest, which is another user's process: {_REMEDY}"
NO_NICE = f"CAP_SYS_NICE is missing, to put guests into the idle class (node.kind = 'harvest'): {_REMEDY}"
