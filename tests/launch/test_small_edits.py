"""Edits and masks of which one entry, one side or one copy is easily forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from qvl_doctor.launch.command import Edit, Flag, Place, gpus_needed, serves, size_of, splice_text
from qvl_doctor.launch.editing import edit
from qvl_doctor.launch.masking import masked_source, secret, unquoted
from qvl_doctor.launch.observing import arguments_of
from qvl_doctor.launch.patching import patched
from qvl_doctor.launch.pods.containers import containers
from qvl_doctor.launch.reading import is_manifest, read
from qvl_doctor.launch.spelling import plain_values, read_map, read_pairs, spell_map
from qvl_doctor.launch.yamltext import yaml_edits

IMAGE = "image: vllm/vllm-openai\n"


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ("args: [--middleware, a]", {"--middleware": "b,c"}, 'args: [--middleware, "b,c"]'),
        *(
            ("args: [--middleware, a]", {"--middleware": f"b{sign}c"}, f'args: [--middleware, "b{sign}c"]')
            for sign in "[]{}"
        ),
        ("args:\n- --middleware\n- a", {"--middleware": "b,c"}, "args:\n- --middleware\n- b,c"),
        (
            "args: [--max-model-len, '1', --dtype, half, --max-model-len, '2']",
            {"--max-model-len": 3},
            "args: [--max-model-len, '3', --dtype, half]",
        ),
        (
            "args: [--swap-space, '1', --port, '2', --dtype, half]",
            {"--port": 3},
            "args: [--swap-space, '1', --port, '3', --dtype, half]",
        ),
        ("args:\r\n- --port\r\n- '1'\r\n", {"--port": 2}, "args:\r\n- --port\r\n- '2'\r\n"),
        (
            "args:\r\n- --port\r\n- '2'\r\n- --swap-space\r\n- '1'\r\n",
            {"--swap-space": None},
            "args:\r\n- --port\r\n- '2'\r\n",
        ),
        (
            "args:\r\n- --swap-space\r\n- '1'\r\n- --port\r\n- '2'\r\n",
            {"--swap-space": None},
            "args:\r\n- --port\r\n- '2'\r\n",
        ),
    ],
)
def test_a_list_is_changed_in_its_own_style(before: str, change: dict[str, Any], after: str) -> None:
    (command,) = read(IMAGE + before)
    assert patched(edit(command, {"flags": change}), reveal=True) == IMAGE + after


def test_a_new_entry_stands_before_the_line_break_of_windows() -> None:
    (command,) = read(IMAGE + "args:\r\n- --model\r\n- m\r\n")
    written = patched(edit(command, {"flags": {"--port": 1}}), reveal=True)
    assert [line.rstrip("\r") for line in written.split("\n")] == [
        *IMAGE.split("\n")[:1],
        "args:",
        "- --model",
        "- m",
        "- --port",
        '- "1"',
        "",
    ]
    assert "\r\r" not in written
    assert "m\r-" not in written


@pytest.mark.parametrize(("offset", "end"), [(0, 2), (2, 2), (3, 2), (4, 6), (7, 7)])
def test_the_end_of_a_line(offset: int, end: int) -> None:
    assert yaml_edits.line_end("ab\r\ncd\n", offset) == (end if offset != 3 else 3)


@pytest.mark.parametrize(
    ("words", "change", "after"),
    [
        ("--a.model x --a.model y", {"model": "z"}, ["z"]),
        ("--a.model x --a.model y --a.model w", {"model": "z"}, ["z"]),
        ("--a.model x --a.method y", {"model": "z"}, ["z", "y"]),
    ],
)
def test_of_several_copies_of_a_dotted_flag_one_stays(words: str, change: dict[str, Any], after: list[str]) -> None:
    (command,) = read("vllm serve m " + words.replace("--a", "--speculative-config"))
    assert [flag.value for flag in edit(command, {"flags": {"--speculative-config": change}}).flags] == after


@pytest.mark.parametrize(
    ("words", "hidden"),
    [
        (["--api-key", "one-secret", "two-secret"], ["one-secret", "two-secret"]),
        (["--api-key=one-secret"], ["one-secret"]),
        (["--hf-token", "one-secret", "--model", "shown"], ["one-secret"]),
        (["--model", "shown", "shown-too"], []),
        (["--api-key=one-secret", "shown"], ["one-secret"]),
    ],
)
def test_all_values_behind_a_secret_flag_are_masked(words: list[str], hidden: list[str]) -> None:
    shown = masked_source("kind: Pod\nargs:\n" + "".join(f"- {word}\n" for word in words))
    assert [word for word in words if word.partition("=")[2] or word not in shown] == [
        word for word in words if word.rpartition("=")[2] in hidden
    ]
    assert not any(each in shown for each in hidden)


@pytest.mark.parametrize("key", ["data", "stringData"])
def test_a_secret_hides_its_data(key: str) -> None:
    text = "kind: {}\n" + key + ":\n  greeting: hello-there\n"
    assert "hello-there" not in masked_source(text.format("Secret"))
    assert "hello-there" in masked_source(text.format("ConfigMap"))
    assert masked_source("kind: Secret\ndata: [") == ""


@pytest.mark.parametrize("value", ["", "***", "hf_***", "sk-***"])
def test_what_is_masked_stays(value: str) -> None:
    assert secret("HF_TOKEN", value) == value


@pytest.mark.parametrize(
    ("text", "shown"), [("'***'", "***"), ('"a=***"', "a=***"), ("'x***'", "'x***'"), ("'***\"", "'***\"")]
)
def test_masks_need_no_quotes(text: str, shown: str) -> None:
    assert unquoted(text) == shown


# ---- Commands


@pytest.mark.parametrize(
    ("words", "nodes", "gpus"),
    [
        ("", 1, 1),
        ("-tp 4", 1, 4),
        ("-tp 4 -pp 2", 1, 8),
        ("-tp 4 -pp 2", 2, 4),
        ("-tp 4 -pp 2 --nnodes 4", 1, 2),
        ("-tp 4 -pp 2 --nnodes 4", 2, 2),
        ("-tp 2 --nnodes 4", 1, 1),
        ("-tp 2 -dp 4", 1, 8),
        ("-tp 2 -dp 4 --data-parallel-size-local 2", 1, 4),
        ("-tp 2 -dp 4 --data-parallel-rank 0", 1, 2),
        ("-tp $N", 1, 0),
        ("-pp $N", 1, 0),
        ("--nnodes $N", 1, 0),
        ("-dp $N", 1, 0),
        ("--config a.yaml", 1, 0),
    ],
)
def test_how_many_gpus_a_pod_needs(words: str, nodes: int, gpus: int) -> None:
    (command,) = read(f"vllm serve m {words}")
    assert gpus_needed(command, nodes) == gpus


@pytest.mark.parametrize(("value", "size"), [("1", 1), ("999999", 999999), ("1000000", 0), ("x", 0), ("-1", 0)])
def test_a_size(value: str, size: int) -> None:
    (command,) = read(f"vllm serve m --port={value}")
    assert size_of(command, "--port") == size
    assert size_of(command, "--nnodes", 7) == 7


@pytest.mark.parametrize(
    ("image", "vllm"),
    [
        ("vllm/vllm-openai", True),
        ("x/my-vllm", True),
        ("x/my.vllm", True),
        ("x/my_VLLM", True),
        ("x/myvllm", False),
        ("vllm/other", False),
        *(
            (f"x/vllm-{word}", False)
            for word in ("mock", "simulator", "router", "proxy", "exporter", "operator", "Router")
        ),
    ],
)
def test_what_starts_vllm_by_its_name(image: str, *, vllm: bool) -> None:
    assert serves(image) is vllm


@pytest.mark.parametrize(
    ("edits", "after"),
    [
        ([Edit(1, 2, "X")], "aXcd"),
        ([Edit(4, 4, "X")], "abcdX"),
        ([Edit(2, 3, "Y"), Edit(0, 1, "X")], "XbYd"),
        ([Edit(0, 2, "X"), Edit(2, 3, "Y")], "XYd"),
        ([Edit(0, 2, "X"), Edit(1, 3, "Y")], "Xcd"),
        ([Edit(1, 1, "X"), Edit(1, 2, "Y")], "aXYcd"),
    ],
)
def test_edits_of_a_text(edits: list[Edit], after: str) -> None:
    assert splice_text("abcd", edits) == after


def test_flags_as_words_and_places_as_text() -> None:
    assert Flag("--x", ("1",), "--x", "equals").words == ("--x=1",)
    assert Flag("-O", ("3",), "-O", "attached").words == ("-O3",)
    assert Flag("--x", ("1", "2"), "--x").words == ("--x", "1", "2")
    assert Flag("", ("1",)).words == ("1",)
    assert Flag("--x", ("1",), "--x.a.b").keys == ("a", "b")
    assert (str(Place(3, 4)), str(Place(argument=0)), str(Place())) == ("3:4", "[0]", "")


@pytest.mark.parametrize(
    "key",
    ["apiVersion", "kind", "metadata", "spec", "services", "containers", "command", "args", "image", "entrypoint"],
)
def test_each_key_of_a_manifest(key: str) -> None:
    assert is_manifest(f"{key}: x\n")
    assert is_manifest(f"- {key}:\n")
    assert not is_manifest(f"x{key}: x\n")


@pytest.mark.parametrize("word", ["exec", "nohup", "sudo", "docker", "podman", "vllm", "python", "python3", "export"])
def test_each_word_of_a_shell(word: str) -> None:
    assert not is_manifest(f"{word} x\nkind: Pod\n")
    assert not is_manifest(f"$ A=1 {word} x\nkind: Pod\n")
    assert is_manifest(f"kind: Pod\n{word} x\n")


# ---- Containers


def test_what_a_container_has_around_it() -> None:
    text = (
        "kind: Pod\nmetadata: {name: a}\nspec:\n  volumes: [{name: s, emptyDir: {medium: Memory, sizeLimit: 2Gi}}]\n  containers:\n"
        "  - name: v\n    ports: [{name: http, containerPort: 8000}]\n    volumeMounts:\n    - {name: s, mountPath: /dev/shm/}\n"
        "    - {name: m, mountPath: /models}\n    - {name: n, mountPath: /models/a}\n"
    )
    (box,) = containers(text)
    assert [box.mount(path) for path in ("/models", "/models/a", "/models/a/b", "/models/ab", "/mod", "/dev/shm")] == [
        "m",
        "n",
        "n",
        "m",
        None,
        "s",
    ]
    assert (box.port_of("http"), box.port_of("web"), box.nodes, box.facts["shm-size"]) == ("8000", "web", 1, "2Gi")
    assert box.spot.where == "Pod/a/v"
    for medium, size in (("medium: Memory", "memory"), ("medium: ''", None)):
        (box,) = containers(text.replace("medium: Memory, sizeLimit: 2Gi", medium))
        assert box.facts.get("shm-size") == size


@pytest.mark.parametrize(("size", "nodes"), [("2", 2), ("0", 1), ("9999", 9999), ("10000", 1), ("x", 1)])
def test_pods_that_work_together(size: str, nodes: int) -> None:
    (box,) = containers(
        f"kind: X\nmetadata: {{name: a}}\nspec:\n  leaderWorkerTemplate: {{size: {size}}}\n  containers: [{{name: v}}]\n"
    )
    assert box.nodes == nodes


@pytest.mark.parametrize(
    ("service", "facts"),
    [
        ("shm_size: 2g", {"shm-size": "2g"}),
        ("ipc: host", {"ipc": "host"}),
        ("runtime: nvidia", {"runtime": "nvidia"}),
        ("mem_limit: 8g", {"memory": "8g"}),
        ("gpus: all", {"gpus": "all"}),
        ("gpus: [{driver: nvidia}]", {"gpus": "some"}),
        ("volumes: ['/dev/shm:/dev/shm']", {"ipc": "host"}),
        ("volumes: [{type: bind, target: /dev/shm}]", {"ipc": "host"}),
        ("volumes: ['/a:/b']", {}),
        ("deploy: {resources: {reservations: {devices: [{driver: nvidia, count: 2}]}}}", {"gpus": "2"}),
        ("deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}", {"gpus": "some"}),
        ("deploy: {resources: {reservations: {devices: [{driver: x, capabilities: [tpu]}]}}}", {}),
    ],
)
def test_what_a_service_has_around_it(service: str, facts: dict[str, str]) -> None:
    (box,) = containers(f"services:\n  v:\n    image: i\n    {service}\n")
    assert box.facts == {"name": "v", **facts}
    assert box.spot.where == "services/v"


# ---- Values


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--max-model-len 4k", "max_model_len", 4000),
        ("--max-model-len 4K", "max_model_len", 4096),
        ("--gpu-memory-utilization 0.5", "gpu_memory_utilization", 0.5),
        ("--gpu-memory-utilization x", "gpu_memory_utilization", "x"),
        ("--enforce-eager", "enforce_eager", True),
        ("--no-enforce-eager", "enforce_eager", False),
        ("--hf-overrides '{\"a\": 1}'", "hf_overrides", {"a": 1}),
        ("--hf-overrides.a.b 1 --hf-overrides.a.c 2", "hf_overrides", {"a": {"b": 1, "c": 2}}),
        ("--unheard-of 1", "unheard_of", "1"),
        ("--served-model-name a b", "served_model_name", ["a", "b"]),
    ],
)
def test_values_as_vllm_reads_them(words: str, name: str, value: Any) -> None:
    (command,) = read(f"vllm serve m {words}", "0.11.0")
    assert arguments_of(command, "0.11.0")[name] == value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', {"a": 1}),
        ("{'a': 1}", {"a": 1}),
        ("“a”", None),
        ("{“a”: 1}", {"a": 1}),
        ("{„a‟: 1}", {"a": 1}),
        ("{«a»: 1}", {"a": 1}),
        ("{＂a＂: 1}", {"a": 1}),
        ("{‘a’: 1}", {"a": 1}),
        ("{‚a＇: 1}", {"a": 1}),
        ("a=1,b=x", {"a": 1, "b": "x"}),
        ("[1]", None),
        ("1", None),
        ("a=1,b", None),
        ("", None),
    ],
)
def test_maps_however_they_are_written(text: str, found: dict[str, Any] | None) -> None:
    assert read_map(text) == found


def test_a_map_that_is_too_long_is_none() -> None:
    assert read_map('{"a": "' + "x" * (64 * 1024 - 9) + '"}') is not None
    assert read_map('{"a": "' + "x" * (64 * 1024 - 8) + '"}') is None
    assert read_pairs("A = 1 , b=") == {"a": 1, "b": ""}
    assert plain_values(("1", "x", "true", "null", ["2"], {"a": "3"})) == [1, "x", True, None, [2], {"a": 3}]


@pytest.mark.parametrize(
    ("release", "like", "spelled"),
    [
        ("0.8.4", "", "image=1"),
        ("0.8.5", "", '{"image": 1}'),
        ("", "", '{"image": 1}'),
        ("", "image=2", "image=1"),
        ("", '{"image":2}', '{"image":1}'),
        ("0.10.0", "image=2", '{"image": 1}'),
        ("0.7.2", '{"image": 2}', "image=1"),
    ],
)
def test_a_map_is_spelled_for_its_release(release: str, like: str, spelled: str) -> None:
    assert spell_map({"image": "1"}, "--limit-mm-per-prompt", release, like) == spelled
