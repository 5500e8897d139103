"""A virtual machine without acceleration, its serial line, and its plug."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from vm.image import Image

MEMORY_MB = 1024
CORES = 2


class NoAnswer(AssertionError):
    """The machine did not say in time what it should; the text holds what it said."""


@dataclass(slots=True)
class Machine:
    """`script` is a file of tests/vm/guest. `data`: a second disk, at /dev/vdb; what is written there stays."""

    image: Image
    script: str
    arguments: tuple[str, ...] = ()
    data: Path | None = None
    said: list[str] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None
    _listener: threading.Thread | None = None
    _lines: queue.Queue[str | None] = field(default_factory=queue.Queue)

    def __enter__(self) -> Machine:
        # the guest's flush reaches the file of the host, whose page cache outlives qemu: as on a real disk,
        # what the guest has not written when the plug is pulled is lost, what it has flushed is not
        disk = "if=virtio,format=raw"
        self._process = subprocess.Popen(
            [
                *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", str(CORES)),
                *("-m", str(MEMORY_MB), "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio"),
                *("-kernel", str(self.image.kernel), "-initrd", str(self.image.initramfs)),
                *("-drive", f"file={self.image.disk},{disk},snapshot=on"),
                *(("-drive", f"file={self.data},{disk},cache=writeback") if self.data else ()),
                *("-append", self._command_line()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(self.image.disk.parent)},
        )
        self._listener = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pull_the_plug()
        assert self._process is not None
        assert self._process.stdout is not None
        assert self._listener is not None
        self._listener.join(10)
        self._process.stdout.close()

    def _command_line(self) -> str:
        words = [
            "console=ttyS0",
            "quiet",
            "panic=-1",
            "rdinit=/init",
            "mitigations=off",
            f"upwhisk.run={self.script}",
        ]
        return " ".join([*words, f"upwhisk.arguments={','.join(self.arguments)}"])

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.put(line.decode(errors="replace").rstrip())
        self._lines.put(None)

    def line(self, within_s: float) -> str:
        """The next line of the serial port."""
        try:
            line = self._lines.get(timeout=max(0.0, within_s))
        except queue.Empty:
            raise NoAnswer(f"nothing more within {within_s:.0f} s; it said:\n{self.text()}") from None
        if line is None:
            raise NoAnswer(f"the machine went off; it said:\n{self.text()}")
        self.said.append(line)
        return line

    def rest(self, within_s: float) -> list[str]:
        """Everything it has said, once it is off."""
        deadline = time.monotonic() + within_s
        while (line := self._lines.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            self.said.append(line)
        return self.said

    def until(self, start: str, within_s: float) -> str:
        """What follows `start` in the first line that begins with it."""
        deadline = time.monotonic() + within_s
        while True:
            line = self.line(deadline - time.monotonic())
            if line.startswith(start):
                return line.removeprefix(start).strip()

    def text(self) -> str:
        return "\n".join(self.said[-400:])

    def wait_off(self, within_s: float) -> None:
        """For the machine to switch itself off."""
        assert self._process is not None
        self._process.wait(within_s)

    def pull_the_plug(self) -> None:
        """The power cut: nothing in the machine gets a turn any more."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
