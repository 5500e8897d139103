"""What is written in one turn of the loop leaves at its end, in order, and never later than it must."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from upwhisk.common.gathered import GatheredTransport


class Inner(asyncio.Transport):
    """Notes what reaches it; `log` is shared, so that order shows."""

    def __init__(self, log: list[str], name: str = "") -> None:
        super().__init__()
        self.log, self.name, self.closing = log, name, False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.log.append(self.name + bytes(data).decode())

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True
        self.log.append(f"{self.name}closed")

    def abort(self) -> None:
        self.closing = True
        self.log.append(f"{self.name}aborted")

    def get_write_buffer_size(self) -> int:
        return 0


async def turn() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_writes_of_a_turn_leave_together() -> None:
    log: list[str] = []
    one, two = GatheredTransport(Inner(log, "1")), GatheredTransport(Inner(log, "2"))
    one.write(b"a")
    two.writelines([b"b", b"c"])
    one.write(b"d")
    assert log == []
    assert one.get_write_buffer_size() == 2
    await turn()
    assert log == ["1ad", "2bc"]
    assert one.get_write_buffer_size() == 0
    one.write(b"e")
    await turn()
    assert log == ["1ad", "2bc", "1e"]


async def test_nothing_is_lost_when_a_connection_closes() -> None:
    log: list[str] = []
    one = GatheredTransport(Inner(log))
    one.write(b"last words")
    one.close()
    await turn()
    assert log == ["last words", "closed"]


async def test_nothing_follows_an_abort() -> None:
    log: list[str] = []
    inner = Inner(log)
    one = GatheredTransport(inner)
    one.write(b"a")
    one.abort()
    two = GatheredTransport(inner)
    two.write(b"b")
    await turn()
    assert log == ["aborted"]


async def test_one_that_cannot_be_written_to_does_not_silence_the_others() -> None:
    class Broken(Inner):
        def write(self, data: bytes | bytearray | memoryview) -> None:
            raise RuntimeError("no")

    log: list[str] = []
    broken, whole = GatheredTransport(Broken(log, "1")), GatheredTransport(Inner(log, "2"))
    broken.write(b"a")
    changing = bytearray(b"b")
    whole.write(changing)
    changing[:] = b"c"
    await turn()
    assert log == ["1aborted", "2b"]


async def test_much_is_not_held() -> None:
    log: list[str] = []
    one = GatheredTransport(Inner(log))
    one.write(b"a")
    one.write(b"b" * 100_000)
    assert log == ["a" + "b" * 100_000]
    one.write(b"c")
    await turn()
    assert log[1:] == ["c"]


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[GatheredTransport, asyncio.StreamReader]]:
    """A real connection: our end, and what the other end reads."""
    accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    server = await asyncio.start_server(lambda *both: accepted.put_nowait(both), "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
    assert isinstance(transport, asyncio.Transport)
    ours = GatheredTransport(transport)
    reader, writer = await accepted.get()
    try:
        yield ours, reader
    finally:
        ours.abort()
        writer.close()
        server.close()


async def test_a_real_connection() -> None:
    async with pair() as (ours, theirs):
        for number in range(100):
            ours.write(b"%d," % number)
        ours.write(b"x" * 200_000)
        ours.write_eof()
        assert await asyncio.wait_for(theirs.read(), 10) == b"".join(b"%d," % n for n in range(100)) + b"x" * 200_000
