"""What is read out of events, and of numbers and times anywhere: each field, default and bound."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kube.described import DESCRIBED, NINE

from qvl_doctor.kube.describe import read_described
from qvl_doctor.kube.events import is_table, read_events, read_table
from qvl_doctor.kube.pod import Probe
from qvl_doctor.kube.times import is_age, moment, seconds
from qvl_doctor.kube.tree import Item, objects, of_json

# ---- The same in kubectl's description


def test_the_events_of_a_description_oldest_first() -> None:
    _, events = read_described(DESCRIBED.format(status="Running", code="1", restarts="1", grace=""))
    assert [(each.reason, each.message, each.name, each.times, each.order) for each in events] == [
        ("Pulled", "Pulled it", "a", 1, -420.0),
        ("BackOff", "Back-off", "a", 12, -300.0),
    ]
    assert events[1].text == "Warning  BackOff  5m (x12 over 1h)  kubelet  Back-off"


# ---- Events


def event_of(**more: Any) -> Any:
    (found,) = read_events([*of_json(json.dumps({"kind": "Event", "reason": "r", "message": "m", **more}))])
    return found


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        ({}, 1),
        ({"count": 3}, 3),
        ({"count": 0}, 1),
        ({"series": {"count": 4}}, 4),
        ({"deprecatedCount": 5}, 5),
        ({"count": 3, "series": {"count": 2}}, 3),
    ],
)
def test_how_often_an_event_was(counts: Any, wanted: int) -> None:
    assert event_of(**counts).times == wanted


@pytest.mark.parametrize(
    "where",
    [
        ("series", "lastObservedTime"),
        ("lastTimestamp",),
        ("deprecatedLastTimestamp",),
        ("eventTime",),
        ("firstTimestamp",),
        ("metadata", "creationTimestamp"),
    ],
)
def test_when_an_event_was(where: tuple[str, ...]) -> None:
    time: Any = "2026-02-16T09:00:00Z"
    for key in reversed(where):
        time = {key: time}
    found = event_of(**time)
    assert (found.when, found.order) == (NINE, NINE)
    both = {"lastTimestamp": "2026-02-16T09:00:00Z", "firstTimestamp": "2026-02-16T08:00:00Z"}
    assert event_of(**both).when == NINE
    assert (event_of().when, event_of().order) == (None, 0.0)


def test_what_an_event_is_about() -> None:
    about = {"kind": "Node", "name": "n"}
    for key in ("involvedObject", "regarding"):
        assert (event_of(**{key: about}).kind, event_of(**{key: about}).name) == ("Node", "n")
    assert (event_of().kind, event_of().name) == ("Pod", "")
    assert event_of(message="", note="n").message == "n"
    assert len(event_of(message="m" * 5000).message) == 4000
    assert read_events([Item({"kind": Item("Pod")})]) == []


def test_the_newest_events_are_kept() -> None:
    def at(second: int) -> Any:
        time = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
        return {"kind": "Event", "message": "m", "lastTimestamp": f"2026-02-16T{time}Z"}

    items = [at(second) for second in reversed(range(5001))]
    found = read_events(of_json(json.dumps({"kind": "List", "items": items})))
    assert len(found) == 5000
    assert found[0].order < found[-1].order == moment("2026-02-16T01:23:20Z")


HEADER = "LAST SEEN   TYPE      REASON   OBJECT   MESSAGE\n"


@pytest.mark.parametrize(
    ("row", "read"),
    [
        ("5m          Warning   Failed   pod/a    x", True),
        ("5m          Normal    Failed   pod/a    x", True),
        ("5m          Odd       Failed   pod/a    x", False),
        ("soon        Warning   Failed   pod/a    x", False),
        ("<unknown>   Warning   Failed   pod/a    x", True),
    ],
)
def test_the_rows_of_a_table(row: str, *, read: bool) -> None:
    assert is_table(HEADER)
    assert is_table(f"\ufeff\r\n {HEADER}")
    assert not is_table(row)
    found = read_table(HEADER + row + "\n")
    assert len(found) == int(read)
    if read:
        assert (found[0].line, found[0].text, found[0].kind, found[0].name) == (2, row, "pod", "a")


def test_a_table_is_read_oldest_first() -> None:
    rows = "5m          Warning   Failed   pod/a    new\n1h          Warning   Failed   pod/a    old\n"
    assert [(each.message, each.order) for each in read_table(HEADER + rows)] == [("old", -3600.0), ("new", -300.0)]


@pytest.mark.parametrize(("count", "times"), [("7", 7), ("x", 1), ("123456789", 123456789), ("1234567890", 1)])
def test_the_count_of_a_wide_table(count: str, times: int) -> None:
    head = "LAST SEEN   TYPE      REASON   OBJECT   SUBOBJECT   SOURCE    MESSAGE   FIRST SEEN   COUNT        NAME\n"
    row = f"5m          Warning   Failed   pod/a                kubelet   x         7m           {count:<13}a.1\n"
    (found,) = read_table(head + row)
    assert (found.times, found.message) == (times, "x")


# ---- Numbers, trees and times


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("5", 5), ("-5", -5), ("0", 0), ("x", 7), ("", 7), ("1.5", 7), ("--5", 7), ("9" * 11, 99999999999), ("9" * 12, 7)],
)
def test_a_number_of_the_tree(text: str, wanted: int) -> None:
    assert Item({"a": Item(text)}).number("a", default=7) == wanted
    assert Item(None).number("a") == 0


@pytest.mark.parametrize("nothing", ["null", "~", ""])
def test_what_yaml_calls_nothing(nothing: str) -> None:
    (found,) = objects(f"kind: Pod\na: {nothing}\nb: 'null'\n")
    assert (found.get("a").value, found.text("b"), found.get("b").line) == (None, "null", 3)


def test_lines_are_counted_from_the_first_even_if_it_is_empty() -> None:
    (found,) = objects("\nkind: Pod\na: b\n")
    assert (found.get("kind").line, found.get("a").line) == (2, 3)


def test_what_kubernetes_takes_for_a_probe_that_says_nothing() -> None:
    assert Probe("liveness") == Probe("liveness", delay=0, period=10, failures=3)


def test_lists_in_lists_are_opened() -> None:
    inner = {"kind": "PodList", "items": [{"kind": "Pod", "x": True, "y": 1}]}
    (found,) = of_json(json.dumps([{"kind": "List", "items": [inner]}, {"no": "kind"}]))
    assert (found.text("kind"), found.text("x"), found.text("y")) == ("Pod", "true", "1")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-02-16T09:00:00Z", NINE),
        ("2026-02-16T09:00:00.123456Z", NINE),
        ("2026-02-16T10:00:00+01:00", NINE),
        ("2026-02-16T08:00:00-0100", NINE),
        ("Mon, 16 Feb 2026 10:00:00 +0100", NINE),
        ("16 Feb 2026 09:00:00 +0000", NINE),
        ("2026-02-16 09:00:00Z", None),
        ("2026-02-16T09:00:00", None),
        ("2026-02-30T09:00:00Z", None),
        ("", None),
    ],
)
def test_a_moment(text: str, wanted: float | None) -> None:
    assert moment(text) == wanted


@pytest.mark.parametrize(
    ("age", "wanted"),
    [("1y", 31536000), ("1d", 86400), ("1h", 3600), ("1m", 60), ("1s", 1), ("1y1d1h1m1s", 31626061), ("<invalid>", 0)],
)
def test_the_units_of_an_age(age: str, wanted: int) -> None:
    assert is_age(age)
    assert seconds(age) == wanted


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "1y1d1h1m1s1s", "<none>", "-5m"])
def test_what_is_no_age(text: str) -> None:
    assert not is_age(text)
    assert seconds(text) == 0
