"""Whether the engine has confined a guest as it was asked to. Pure."""

from __future__ import annotations


def weaknesses(status: str, *, may_be_root: bool) -> list[str]:
    """What is wrong, from the text of `/proc/<pid>/status`; empty: nothing is."""
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    found: list[str] = []
    if not may_be_root and "0" in fields.get("Uid", "0").split():
        found.append("it runs as root")
    if any(int(fields.get(name, "1").strip(), 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")):
        found.append("it has capabilities")
    if fields.get("NoNewPrivs", "").strip() != "1":
        found.append("it may gain privileges")
    if fields.get("Seccomp", "").strip() != "2":
        found.append("its system calls are not filtered")
    return found
