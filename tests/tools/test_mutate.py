"""The planting of mistakes: each kind, and that what is planted still parses."""

import ast
import random
from pathlib import Path

import mutate
import mutations
import pytest

from qvl_doctor import model


@pytest.mark.parametrize(
    ("source", "kind", "planted"),
    [
        ("x = a < b", "comparison", "x = a <= b"),
        ("x = a <= b", "comparison", "x = a < b"),
        ("x = a not in b", "comparison", "x = a in b"),
        ("x = a is None", "comparison", "x = a is not None"),
        ("x = a and b", "logic", "x = a or b"),
        ("x = not (a or b)", "negation", "x =  (a or b)"),
        ("x = a - 2", "arithmetic", "x = a + 2"),
        ("x = a - 2", "number", "x = a - 3"),
        ("x = 'ü' in a or 7", "number", "x = 'ü' in a or 8"),
        ("x = any(a)", "call", "x = all(a)"),
        ("x = ('a', 'b', 'c')", "entry", "x = ( 'b', 'c')"),
        ("x = {'a': 1, 'b': 2, 'c': 3}", "entry", "x = {'a': 1,  'c': 3}"),
        ("x = r'abcd|efgh'", "alternative", "x = r'abc~|efgh'"),
    ],
)
def test_each_kind(source: str, kind: str, planted: str) -> None:
    assert planted in [each.applied(source) for each in mutations.mutations(source) if each.kind == kind]


@pytest.mark.parametrize(
    "source", ["def f(x: int | None) -> 'a' | b: ...", "x = 'a' + y", "x = ('a', 'b')", "'''a < b'''", "x = True"]
)
def test_what_is_no_mistake(source: str) -> None:
    assert not mutations.mutations(source)


def test_a_sample_is_spread_and_the_same_for_one_seed() -> None:
    source = Path(model.__file__).read_text(encoding="utf-8")
    drawn, again = (mutations.sample(source, 6, random.Random(3)) for _ in range(2))  # noqa: S311  not for secrets
    assert drawn == again
    assert len({each.line for each in drawn}) == len(drawn) == 6
    for each in drawn:
        ast.parse(each.applied(source))


def test_the_listed_mistakes_are_still_in_the_code() -> None:
    """`listed` ends the run where a text is not in its file any more: the list must follow the code."""
    planted = list(mutate.listed())
    assert len(planted) > 40
    for each in planted:
        ast.parse(each.text)


def test_a_module_of_constants_has_the_tests_of_those_who_take_them(monkeypatch: pytest.MonkeyPatch) -> None:
    constants, user = "qvl_doctor/knowledge/defaults.py", "qvl_doctor/manifest/hardware.py"
    covering = object.__new__(mutate.Covering)
    lines: dict[str, dict[int, set[str]]] = {constants: {25: {""}}, user: {3: {"", "tests/manifest/test_a.py::test_b"}}}
    monkeypatch.setattr(covering, "_lines", lines, raising=False)
    found = covering.tests(mutate.Planted(constants, 25, "number", "6", ""))
    assert {"tests/manifest/test_a.py::test_b", "tests/knowledge/test_defaults.py"} <= set(found)
    assert "" not in found
    assert covering.tests(mutate.Planted(user, 9, "number", "6", "")) == ["tests/manifest/test_a.py::test_b"]
