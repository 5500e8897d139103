"""`activation poll`: what it asks for, and what it prints."""

from __future__ import annotations

from cli.command import Command, Recorder


async def test_polling(recorded: Command, server: Recorder) -> None:
    newest = "GET activations?docs=true&limit=1&skip=0"
    server.answers[newest] = (200, [{"activationId": "old", "start": 100}])
    first = "GET activations?docs=true&limit=0&name=a&since=101&skip=0"
    row = {"activationId": "new", "name": "a", "start": 500, "logs": ["one", "two"]}
    server.answers[first] = (200, [row])
    done = await recorded("activation", "poll", "a", "--exit", "1")
    assert done.code == 0
    assert server.lines[:2] == [newest, first]
    assert set(server.lines[2:]) <= {first.replace("101", "501")}
    assert done.out == (
        "Enter Ctrl-c to exit.\nPolling for activation logs\n\nActivation: 'a' (new)\n"
        '[\n    "one",\n    "two"\n]\nPoll terminated\n'
    )


async def test_polling_another_namespace(recorded: Command, server: Recorder) -> None:
    theirs = "GET /api/v1/namespaces/ns/activations?docs=true&limit=1&skip=0"
    server.answers[theirs] = (403, {"error": "Not yours.", "code": "tid"})
    done = await recorded("activation", "poll", "/ns/a", "--exit", "1")
    assert (done.code, server.lines) == (147, [theirs])
    assert done.err == "error: Unable to obtain the list of activations for namespace 'ns': Not yours. (code tid)\n"
    server.asked.clear()
    await recorded("activation", "poll", "/ns/a", "--since-hours", "1", "--exit", "1")
    assert server.lines
    assert all(line.startswith("GET /api/v1/namespaces/ns/activations?docs=true&limit=0&name=a&since=") for line in server.lines)


async def test_polling_from_a_time_leaves_the_first_call_out(recorded: Command, server: Recorder) -> None:
    await recorded("activation", "poll", "--since-hours", "1", "--exit", "1")
    assert all(line.startswith("GET activations?docs=true&limit=0&since=1") for line in server.lines)
