"""Values merged into YAML text: what is read afterwards is the merge, and no other line is touched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from qvl_doctor.launch.command import splice_text
from qvl_doctor.launch.yamltext.yaml_merging import grown, value_of
from qvl_doctor.launch.yamltext.yaml_tree import documents

POD = """# a pod
kind: Pod
spec:
  containers:   # one
  - name: vllm
    resources:
      limits: {cpu: 4}  # of the node
    ports:
    - containerPort: 8000
    empty: {}
    nothing:
    quoted: "1"
  volumes: []
"""


def after(text: str, wanted: Mapping[str, Any]) -> str:
    (root,) = documents(text)
    return splice_text(text, list(grown(text, root, wanted)))


def merged(held: Any, wanted: Any) -> Any:
    if isinstance(held, dict) and isinstance(wanted, Mapping):
        return {**held, **{key: merged(held.get(key), value) for key, value in wanted.items()}}
    if isinstance(held, list) and isinstance(wanted, list):
        return [*held, *wanted]
    return wanted


@pytest.mark.parametrize(
    "wanted",
    [
        {"spec": {"hostIPC": True}},
        {"spec": {"volumes": [{"name": "dshm", "emptyDir": {"medium": "Memory"}}]}},
        {"apiVersion": "v1", "spec": {"nodeName": "a", "more": {"deep": {"deeper": [1, "2", True]}}}},
        {"kind": "Deployment"},
    ],
)
def test_what_is_wanted_is_there(wanted: dict[str, Any]) -> None:
    changed = after(POD, wanted)
    assert yaml.safe_load(changed) == merged(yaml.safe_load(POD), wanted)
    assert "# a pod" in changed
    assert "# of the node" in changed


def test_lists_and_maps_in_a_container() -> None:
    (root,) = documents(POD)
    container = root.get("spec").get("containers").items[0]  # type: ignore[union-attr]
    wanted = {
        "resources": {"limits": {"nvidia.com/gpu": 2}, "requests": {"nvidia.com/gpu": 2}},
        "ports": [{"containerPort": 8001, "name": "b"}],
        "empty": {"a": "b: c"},
        "nothing": [1],
        "quoted": 2,
        "new": {"list": [{"a": 1}, {"b": ["x"]}]},
    }
    changed = splice_text(POD, list(grown(POD, container, wanted)))
    held = yaml.safe_load(POD)["spec"]["containers"][0]
    assert yaml.safe_load(changed)["spec"]["containers"][0] == {
        **merged(held, wanted),
        "empty": {"a": "b: c"},
        "nothing": [1],
        "quoted": "2",
    }
    assert [line for line in POD.splitlines() if line not in changed.splitlines()] == [
        line for line in POD.splitlines() if any(word in line for word in ("limits:", "empty:", "nothing:", "quoted:"))
    ]


def test_what_is_there_already_stays() -> None:
    assert after(POD, {"kind": "Pod", "spec": {}}) == POD


SCALARS = (
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Co", "Cn"]), max_size=12)
    | st.integers(0, 10**9)
    | st.booleans()
)
KEYS = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="./-_"), min_size=1, max_size=10)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(KEYS, inner, min_size=1, max_size=3),
    max_leaves=8,
)
MAPS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)


@given(MAPS, MAPS)
def test_any_merge_of_block_yaml(held: dict[str, Any], wanted: dict[str, Any]) -> None:
    text = yaml.safe_dump(held, allow_unicode=True)
    _same_after(text, held, wanted)


@given(MAPS, MAPS)
def test_any_merge_of_json(held: dict[str, Any], wanted: dict[str, Any]) -> None:
    changed = _same_after(json.dumps(held, indent=2, ensure_ascii=False), held, wanted)
    json.loads(changed)


def _same_after(text: str, held: dict[str, Any], wanted: dict[str, Any]) -> str:
    changed = after(text, wanted)
    assert _plain(yaml.safe_load(changed)) == _plain(_replacing(held, wanted))
    return changed


def _replacing(held: Any, wanted: Any) -> Any:
    """What `grown` means: maps and lists are merged with their like, anything else is replaced."""
    if isinstance(held, dict) and isinstance(wanted, dict):
        return {
            **held,
            **{key: _replacing(held[key], value) if key in held else value for key, value in wanted.items()},
        }
    if isinstance(held, list) and isinstance(wanted, list):
        return [*held, *wanted]
    return wanted


def _plain(value: Any) -> Any:
    """A scalar that took the place of another keeps the quotes of that one, so 1 and "1" count as the same here."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_a_node_as_plain_values() -> None:
    (root,) = documents("a: [1, '1', true, x, {b: \"c\"}]\n")
    assert value_of(root) == {"a": [1, "1", True, "x", {"b": "c"}]}
