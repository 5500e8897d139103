"""The dashboard and the alerts ask for metrics and labels that there are, and the docs name them all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from compose.files import COMPOSE, ROOT
from fakes.exposed import families, sample_names

DOCS = (ROOT / "docs/metrics.md").read_text()
_ROW = re.compile(r"^\| `([a-z_]+)` \| ([CNS ]+) \| ([^|]*)\| ", re.MULTILINE)
_NAME = re.compile(r"\b(upwhisk_[a-z_]+|process_[a-z_]+)\b")
_BY = re.compile(r"\bby \(([a-z_, ]+)\)")
_MATCHED = re.compile(r"([a-z_]+)(?:=~|!=|=)\"")
_EVERYWHERE = {"instance", "job", "le"}
"""Labels that Prometheus adds."""


def _dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((COMPOSE / "grafana/upwhisk.json").read_text())
    return found


def _queries() -> Iterator[str]:
    for panel in _dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    for group in yaml.safe_load((COMPOSE / "config/prometheus/alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


QUERIES = sorted(set(_queries()))


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_what_there_is(query: str) -> None:
    names = set(_NAME.findall(query))
    assert names or query == "up == 0"
    assert names <= sample_names()
    assert query.count("(") == query.count(")")
    labels = {label.strip() for group in _BY.findall(query) for label in group.split(",")} | set(_MATCHED.findall(query))
    assert labels <= _EVERYWHERE | set().union(*(_documented_labels(name) for name in names))


def _documented_labels(sample: str) -> set[str]:
    base = re.sub(r"_(bucket|sum|count)$", "", sample)
    row = next((row for row in _ROW.findall(DOCS) if row[0] in (sample, base)), None)
    return set(re.findall(r"`([a-z_]+)`", row[2])) if row is not None else set()


def test_panels_are_whole() -> None:
    panels = _dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]
    assert len(set(places)) == len(places)
    for panel in panels:
        if panel["type"] != "row":
            assert panel["targets"]
            assert panel["title"]
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    shown = set(_NAME.findall(" ".join(QUERIES)))
    ours = {name for name in sample_names() if name.startswith("upwhisk_") and not name.endswith(("_sum", "_count"))}
    assert ours - shown == {"upwhisk_build_info"}, "every metric of ours is shown (that one names the processes)"


def test_the_docs_name_every_metric_with_its_labels() -> None:
    documented = {name: set(re.findall(r"`([a-z_]+)`", labels)) for name, _, labels in _ROW.findall(DOCS)}
    exposed = {
        family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        for family in families()
        if family.name.startswith("upwhisk_")
    }
    assert set(documented) == exposed
    for family in families():
        for sample in family.samples:
            name = re.sub(r"_(bucket|sum|count|created)$", "", sample.name)
            if name in documented:
                assert set(sample.labels) - {"le"} == documented[name], name
