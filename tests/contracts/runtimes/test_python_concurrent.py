"""`async def main`: several activations at once, each with its own lines."""

from __future__ import annotations

from contracts.runtimes.guest import Guest
from contracts.runtimes.meeting import FIRST, SECOND, lines_of, meet, send

from upwhisk.common.spi.containers import SENTINEL

MEETING = """
import asyncio, logging, sys, threading
from concurrent.futures import ThreadPoolExecutor
import upwhisk_action
pool = ThreadPoolExecutor(1)
logging.basicConfig(level=logging.INFO, format="log %(message)s")
print("loaded")
waiting = {}

async def child(name):
    await asyncio.sleep(0)
    print("task", name)

async def main(args):
    name = args["name"]
    print("begin", name)
    print("part of", name, end="")
    waiting[name] = asyncio.Event()
    while len(waiting) < 2:
        await asyncio.sleep(0.001)
    print(" the line")
    sys.stderr.write("error %s\\n" % name)
    logging.info("%s", name)
    await asyncio.create_task(child(name))
    await asyncio.to_thread(print, "thread", name)
    own = threading.Thread(target=print, args=("own thread", name))
    own.start()
    own.join()
    await asyncio.wrap_future(pool.submit(print, "pool", name))
    sys.stdout.buffer.write(b"bytes " + name.encode())
    return {"name": name, "id": upwhisk_action.activation_id()}
"""


def test_two_runs_overlap_and_each_line_says_whose_it_is(py: Guest) -> None:
    py.must_init(MEETING)
    assert py.logs() == ("loaded\n", "")
    out, err = meet(py)
    for name, activation_id in (("one", FIRST), ("two", SECOND)):
        assert lines_of(out, activation_id) == [
            f"begin {name}",
            f"part of {name} the line",
            f"task {name}",
            f"thread {name}",
            f"own thread {name}",
            f"pool {name}",
            f"bytes {name}",
        ]
        assert lines_of(err, activation_id) == [f"error {name}", f"log {name}"]
    assert len(out.splitlines()) == 16
    assert len(err.splitlines()) == 6


def test_the_end_of_a_run_is_written_before_its_answer(py: Guest) -> None:
    py.must_init("async def main(args):\n    print('x')\n    return {}\n")
    for _ in range(3):
        py.run({}, activation_id=FIRST)
        end = f"{SENTINEL} {FIRST}\n"
        assert py.logs() == (f"\x01{FIRST} x\n{end}", end)


def test_many_at_once(py: Guest) -> None:
    py.must_init(
        "import asyncio\nrunning = 0\nasync def main(args):\n    global running\n    running += 1\n"
        "    while running < 100: await asyncio.sleep(0.001)\n    return {'n': args['n']}\n"
    )
    clients = [py.connect() for _ in range(100)]
    for number, client in enumerate(clients):
        send(client, f"{number:032x}", {"n": number})
    for number, client in enumerate(clients):
        answer = client.receive()
        assert answer is not None
        assert answer.json == {"n": number}


def test_outcomes_are_the_same_as_of_synchronous_code(py: Guest) -> None:
    py.must_init(
        "import sys\nasync def main(args):\n    how = args.get('how')\n"
        "    if how == 'raise': raise ValueError('bad é')\n    if how == 'text': return 'x'\n"
        "    if how == 'none': return None\n    if how == 'exit': sys.exit(1)\n    return {'a': [1, 2]}\n"
    )
    assert py.run().text == '{"a": [1, 2]}\n'
    py.logs()
    answer = py.run({"how": "raise"}, activation_id=FIRST)
    assert (answer.status, answer.json) == (200, {"error": "bad é"})
    assert lines_of(py.logs()[1], FIRST)[-1] == "ValueError: bad é"
    assert py.run({"how": "text"}).status == 502
    assert py.run({"how": "none"}).text == "null\n"
    assert py.init("x").status == 403
    answer = py.run({"how": "exit"})
    assert (answer.status, answer.json) == (400, {"error": "command exited"})
    assert (py.run().status, py.run().json) == (500, {"error": "no action defined yet"})


def test_an_exit_ends_all_activations_with_an_answer(py: Guest) -> None:
    py.must_init(
        "import asyncio, os\nrunning = 0\nasync def main(args):\n    global running\n    running += 1\n"
        "    if args.get('exit'):\n        while running < 2: await asyncio.sleep(0.001)\n        os._exit(4)\n"
        "    await asyncio.sleep(60)\n"
    )
    waiting, leaving = py.connect(), py.connect()
    send(waiting, FIRST, {})
    send(leaving, SECOND, {"exit": True})
    for client in (waiting, leaving):
        answer = client.receive()
        assert answer is not None
        assert (answer.status, answer.json) == (400, {"error": "command exited"})
    assert py.wait_for_exit() == 4
    assert py.logs()[0].count(SENTINEL) == 2


def test_what_runs_for_nobody_is_written_without_an_id(py: Guest) -> None:
    py.must_init(
        "import asyncio, threading\nasync def main(args):\n"
        "    thread = threading.Thread(target=print, args=('thread',))\n    thread.start()\n    thread.join()\n    return {}\n"
    )
    py.run({}, activation_id=FIRST)
    out = py.logs()[0].splitlines()
    # Python 3.14 gives threads their starter's context.
    assert out[0] in ("thread", f"\x01{FIRST} thread")


def test_an_object_whose_call_is_async(py: Guest) -> None:
    py.must_init("class Main:\n    async def __call__(self, args):\n        return args\nmain = Main()\n")
    assert py.run({"a": 1}).json == {"a": 1}
