"""Several activations at once in one Node guest, each with its own lines."""

from __future__ import annotations

import pytest
from contracts.runtimes.conftest import StartGuest
from contracts.runtimes.guest import Guest
from contracts.runtimes.meeting import FIRST, SECOND, lines_of, meet

from upwhisk.common.spi.containers import SENTINEL
from upwhisk.runtimes.installation import RuntimeInstallation

MEETING = """
console.log('loaded');
const waiting = [];
async function main(args) {
  const { name } = args;
  console.log('begin %s', name);
  process.stdout.write('part of ' + name);
  await new Promise((go) => { waiting.push(go); if (waiting.length === 2) waiting.forEach((f) => f()); });
  console.log(' the line ❄');
  console.error('error', name);
  setTimeout(() => console.log('timer', name), 1);
  await new Promise((go) => setTimeout(go, 10));
  process.stdout.write(Buffer.from('bytes ' + name));
  return { name, id: require('upwhisk_action').activationId() };
}
"""


@pytest.fixture
def guest(node: RuntimeInstallation, start: StartGuest) -> Guest:
    return start(node, __OW_ALLOW_CONCURRENT="true")


def test_two_runs_overlap_and_each_line_says_whose_it_is(guest: Guest) -> None:
    assert guest.init(MEETING).json == {"OK": True, "concurrent": True}
    assert guest.logs() == ("loaded\n", "")
    out, err = meet(guest)
    for name, activation_id in (("one", FIRST), ("two", SECOND)):
        assert lines_of(out, activation_id) == [
            f"begin {name}",
            f"part of {name} the line ❄",
            f"timer {name}",
            f"bytes {name}",
        ]
        assert lines_of(err, activation_id) == [f"error {name}"]
    assert len(out.splitlines()) == 10


def test_init_may_allow_it_too(js: Guest) -> None:
    answer = js.init("function main() { return {}; }", env={"__OW_ALLOW_CONCURRENT": "true"})
    assert answer.json == {"OK": True, "concurrent": True}


def test_what_runs_for_nobody_is_written_without_an_id(guest: Guest) -> None:
    guest.must_init(
        "let go; setInterval(() => { if (go) { console.log('for nobody'); go(); } }, 1); async function main() { await new Promise((f) => { go = f; }); go = undefined; return {}; }"
    )
    guest.run({}, activation_id=FIRST)
    out = guest.logs()[0].splitlines()
    assert out[0] == "for nobody"
    assert out[-1] == f"{SENTINEL} {FIRST}"


def test_rejections_are_the_callers_own(guest: Guest) -> None:
    guest.must_init("async function main(a) { if (a.bad) throw new Error('bad'); return a; }")
    answer = guest.run({"bad": 1}, activation_id=FIRST)
    assert answer.json["error"]["message"] == "bad"
    assert guest.run({"a": 1}).json == {"a": 1}
