"""What `check --export` wrote elsewhere: judged with another command, and whatever somebody put into it."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from checking import doctor, report, rules
from hypothesis import given
from hypothesis import strategies as st
from nvml.fixtures import RTX_4090, Describe
from program import RULES
from program import run_text as run
from rich.console import Console

from qvl_doctor.diagnose.examining import examine
from qvl_doctor.facts.kinds import fits
from qvl_doctor.facts.table import names
from qvl_doctor.launch.observing import observe_text
from qvl_doctor.machine import PROBES
from qvl_doctor.machine.export import SCHEMA, Environment, EnvironmentFileError, dumps, loads
from qvl_doctor.model import Fact, Line, Seen
from qvl_doctor.observations import key_of, observe, proof
from qvl_doctor.observations.levels import MANIFEST
from qvl_doctor.observations.sentences import SENTENCES
from qvl_doctor.report import as_json, console, markdown
from qvl_doctor.workflows import machine

SERVE = ("--", "vllm", "serve", "Qwen/Qwen2.5-VL-7B-Instruct")
EVERYTHING = frozenset(PROBES)


def exported(folder: Path, facts: dict[str, Any] | None = None, **more: Any) -> Path:
    """A file as another machine wrote it."""
    seen = {
        "nvml": "ok",
        "gpu_count": 2,
        "gpu_name": "NVIDIA GeForce RTX 4090",
        "compute_capability": "8.9",
        "total_gib": 23.65,
    }
    found = {
        "schema": SCHEMA,
        "version": "0.1.0",
        "made": "2025-11-02T10:12:13Z",
        "facts": seen | (facts or {}),
        "observations": [],
        **more,
    }
    path = folder / "env.json"
    path.write_text(json.dumps(found), encoding="utf-8")
    return path


def test_a_command_is_held_against_a_machine_that_was_seen_without_it(tmp_path: Path) -> None:
    path = exported(tmp_path)
    done = run("check", "--from", path, "--vllm", "0.11.0", "--format", "json", *SERVE, "--tensor-parallel-size", "4")
    found = json.loads(done.stdout)
    assert "not-enough-gpus" in [finding["rule"] for finding in found["findings"]]
    assert any("2025-11-02 10:12:13 UTC" in note for note in found["not_checked"])
    assert found["facts"]["seen_at"] == "2025-11-02T10:12:13Z"


def test_another_command_takes_the_place_of_the_exported_one(tmp_path: Path) -> None:
    """What was found of the command there says nothing about this one.

    Its port and its model were not looked at there.
    """
    looks = {
        "host": Seen({"port_free": Fact("no")}, (observe("port_in_use", port=8000),)),
        "model": Seen({"model_folder": Fact("ok"), "architecture": Fact("X")}),
        "command": Seen({"plan": Fact("profile-oom"), "plan_missing_gib": Fact(3.0)}),
    }
    path = tmp_path / "env.json"
    path.write_text(
        dumps(Environment(looks, {"model": "a/b", "port": "8000", "command": "vllm serve a/b"}, "2025-01-01T00:00:00Z"))
    )
    same = json.loads(run("check", "--from", path, "--format", "json").stdout)
    assert "port-in-use" in [finding["rule"] for finding in same["findings"]]
    assert same["facts"]["plan"] == "profile-oom"
    other = json.loads(run("check", "--from", path, "--format", "json", *SERVE, "--port", "9000").stdout)
    assert "port-in-use" not in [finding["rule"] for finding in other["findings"]]
    assert "plan" not in other["facts"] or other["facts"]["plan"] != "profile-oom"
    assert {check["name"]: check["status"] for check in other["checks"]}["folder"] == "unknown"


def test_a_log_beside_what_is_no_environment_is_wrong_usage(tmp_path: Path, fixtures: Path) -> None:
    done = run("logs", "--env", tmp_path / "none.json", fixtures / "article/oom-9.03.log")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_an_export_may_be_packed_or_in_utf16_or_come_through_a_pipe(tmp_path: Path) -> None:
    text = exported(tmp_path).read_text(encoding="utf-8")
    (tmp_path / "env.json.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "wide.json").write_bytes(text.encode("utf-16"))  # PowerShell's `>`
    for source, stdin in ((tmp_path / "env.json.gz", b""), (tmp_path / "wide.json", b""), ("-", text.encode())):
        done = run("check", "--from", source, "--format", "json", stdin=stdin)
        assert json.loads(done.stdout)["facts"]["gpu_name"] == "NVIDIA GeForce RTX 4090"


HOSTILE: dict[str, Any] = {
    "total_gib": "x",
    "startup_free_gib": float("nan"),
    "gpu_count": [2],
    "shm_gib": -1,
    "ram_gib": float("inf"),
    "cache_free_gib": 10**400,
    "compute_capability": "\x1b[31mred",
    "gpu_name": {"a": 1},
    "driver": True,
    "vllm": ["0.11.0"],
    "port_free": None,
}


def test_values_that_cannot_be_right_are_left_out_by_name(tmp_path: Path) -> None:
    path = exported(tmp_path, HOSTILE)
    done = run("check", "--from", path, "--vllm", "0.11.0", "--format", "json", *SERVE, "--tensor-parallel-size", "2")
    found = json.loads(done.stdout)
    assert not found["facts"].keys() & {name for name in HOSTILE if name != "vllm"}
    assert not found["facts"].get("memory", {}).keys() & HOSTILE.keys()
    assert not [finding for finding in found["findings"] if "gpu" in finding["rule"] or "memory" in finding["rule"]]
    note = next(note for note in found["not_checked"] if "ignored" in note)
    assert "total_gib" in note
    assert "Traceback" not in done.stderr


def test_texts_of_an_export_cannot_style_the_terminal(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\u202e4090"
    said = [
        {"probe": "gpu\x1b[2J", "level": "MACHINE", "said": f"GPU 0 cannot be asked: {evil}", "line": "x"},
        {"said": evil},
        7,
    ]
    path = exported(
        tmp_path, {"gpu_name": evil, "na\x1bme": 1, "architecture": evil}, observations=said, version=evil, made=evil
    )
    for form in ("console", "markdown", "json"):
        done = run("check", "--from", path, "--format", form)
        assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout + done.stderr)
        assert "Traceback" not in done.stderr


def test_newer_keys_are_passed_over(tmp_path: Path) -> None:
    path = exported(
        tmp_path, {"warp_field": "on", "warp_cores": 3}, probes={"warp": ["warp_field"], "gpu": 7}, hull={"a": [1]}
    )
    done = run("check", "--from", path, "--format", "json")
    assert json.loads(done.stdout)["facts"]["warp_cores"] == 3


ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["0.11.0", "8.9", "yes", "no", "ok", "\x1b[31m", "NVIDIA L4", "-1", "1e999"])
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4), max_size=2)
)


@given(st.dictionaries(st.sampled_from(sorted(names())), ODD, max_size=8))
def test_whatever_an_export_holds_the_report_survives(facts: dict[str, Any]) -> None:
    env = loads(json.dumps({"schema": SCHEMA, "facts": facts}))
    diagnosis = machine.diagnose(env, file="env.json", rules=RULES)
    assert as_json.dumps(diagnosis)
    for lang in ("en", "zh"):
        assert markdown.render(diagnosis, lang)
        view = Console(file=io.StringIO(), width=80, no_color=True)
        console.render(diagnosis, lang, view)


def test_every_fact_of_this_machine_fits_its_kind() -> None:
    found = json.loads(run("check", "--export", "-", "--no-import-test", *SERVE).stdout)
    assert not [name for name, value in found["facts"].items() if not fits(name, value)]
    assert loads(json.dumps(found)).left_out == ()


@pytest.mark.parametrize("name", sorted(names("packages", "gpu", "host", "model")))
def test_no_fact_of_a_machine_may_be_a_list_or_nothing(name: str) -> None:
    assert not fits(name, None)
    assert not fits(name, [1])
    assert not fits(name, float("nan"))


def test_secrets_in_nested_arguments_are_not_exported() -> None:
    secret = "Zk3v9QxT71pLmN8s2RwB"
    looks = {"command": Seen({"args": Fact({"hf_overrides": {"password": secret}, "list": [{"api_key": secret}]})})}
    assert secret not in dumps(Environment(looks, {"command": f"vllm serve m --api-key {secret}"}))


def test_a_text_that_is_no_environment_raises_its_own_error() -> None:
    for text in ("null", "3", '"x"', "[]"):
        with pytest.raises(EnvironmentFileError):
            loads(text)


def test_what_was_seen_can_be_diagnosed_elsewhere(nvml: Describe, tmp_path: Path) -> None:
    file = tmp_path / "env.json"
    env = nvml([{**RTX_4090, "used": 18381}])
    here = report("--only", "gpu,host", "--export", str(file), env={**env, "HF_TOKEN": "hf_" + "s" * 34})
    assert "hf_sss" not in file.read_text(encoding="utf-8")
    there = report("--from", str(file), "--only", "gpu,host")
    assert rules(there) == rules(here)


@pytest.mark.parametrize(
    "text", ["", "{}", "[" * 100_000, '{"schema": "other"}', "\x00\x01", '{"schema": "qvl-doctor/env/1", "facts": 3}']
)
def test_a_file_that_is_no_environment(text: str, tmp_path: Path) -> None:
    file = tmp_path / "env.json"
    file.write_text(text, encoding="utf-8")
    done = doctor("--from", str(file))
    assert "Traceback" not in done.stderr
    assert done.returncode in ({0} if "env/1" in text else {3})


#: Controls are taken out when a file is read: they could style a terminal.
PRINTED = st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"])
#: No fact's unit: `x_s` would have to be a number of seconds.
NAMES = st.text(st.characters(codec="ascii", categories=["Ll"]), max_size=8).map("x_{}_x".format)
VALUES = st.text(PRINTED, max_size=20) | st.integers(-(2**40), 2**40) | st.booleans()


@given(
    st.dictionaries(NAMES, VALUES, max_size=5),
    st.lists(st.text(PRINTED, max_size=30), max_size=3),
)
def test_an_export_is_read_back_as_it_was(facts: dict[str, Any], said: list[str]) -> None:
    seen = Seen(
        {name: Fact(value, "probe") for name, value in facts.items()},
        tuple(observe("weight_file_broken", 1, file="a", problem=text) for text in said),
    )
    back = loads(dumps(Environment({"host": seen}))).seen()
    assert {name: fact.value for name, fact in back.facts.items()} == facts
    assert [each.message for each in back.observations] == [each.message for each in seen.observations]


#: One of each sentence as versions without keys wrote it, and the rule that spoke on it then.
BEFORE_KEYS = json.loads(Path(__file__).with_name("exported_before_keys.json").read_text(encoding="utf-8"))


def test_a_file_without_keys_is_judged_as_it_was(tmp_path: Path) -> None:
    for each in BEFORE_KEYS["export"]["observations"]:
        path = exported(tmp_path, {"tensor_parallel_size": 4, "vllm": "0.11.0"}, observations=[each])
        seen = loads(path.read_text(encoding="utf-8")).seen()
        (record,) = seen.observations
        assert key_of(record), each["said"]
        assert record.message == each["said"]
        spoken = [finding.rule for finding in examine("-", seen, RULES).findings]
        assert BEFORE_KEYS["rules"][each["said"]] in spoken, each["said"]


#: Sentences that came with keys.
WITH_KEYS = {
    *("word_not_recognized", "value_out_of_range", "model_above_gpus", "batch_below_sequences"),
    "command_not_the_logged_one",
}


def test_there_is_one_of_each_sentence_that_a_file_can_hold() -> None:
    found = {key_of(record) for record in loads(json.dumps(BEFORE_KEYS["export"])).seen().observations}
    assert found >= {key for key, sentence in SENTENCES.items() if sentence.level != MANIFEST} - WITH_KEYS


OF_A_GPU = {"index": "0", "gpu": "NVIDIA L4", "count": "2"}
SAID = "GPU 0 (NVIDIA L4): 2 memory errors that ECC could not correct since the driver was loaded"


@pytest.mark.parametrize(
    ("key", "values", "read"),
    [
        ("gpu_ecc_errors", {**OF_A_GPU, "count": "3"}, ("gpu_ecc_errors", "3")),  # the values count, not the text
        ("gpu_ecc_errors", {**OF_A_GPU, "more": "x"}, ("gpu_ecc_errors", "2")),
        ("gpu_ecc_errors", {"index": "0"}, ("gpu_ecc_errors", "2")),  # from here on the text
        ("gpu_ecc_errors", {**OF_A_GPU, "count": 2}, ("gpu_ecc_errors", "2")),
        ("gpu_ecc_errors", None, ("gpu_ecc_errors", "2")),
        ("pod_without_gpu", {"name": "vllm"}, ("gpu_ecc_errors", "2")),  # of another level
        ("gpu_on_fire", OF_A_GPU, ("gpu_ecc_errors", "2")),
        (["gpu_ecc_errors"], OF_A_GPU, ("gpu_ecc_errors", "2")),
    ],
)
def test_an_observation_is_read_by_its_key_and_else_by_its_text(
    key: Any, values: Any, read: tuple[str, str], tmp_path: Path
) -> None:
    item = {"probe": "gpu", "level": "MACHINE", "said": SAID, "line": 0, "key": key, "values": values}
    (record,) = loads(exported(tmp_path, observations=[item]).read_text(encoding="utf-8")).seen().observations
    assert record.observation
    assert (record.observation.key, record.observation.values["count"]) == read


def test_an_export_has_text_key_and_values() -> None:
    record = observe("gpu_ecc_errors", **OF_A_GPU)
    (item,) = json.loads(dumps(Environment({"gpu": Seen({}, (record,))})))["observations"]
    assert item == {
        "probe": "gpu",
        "level": "MACHINE",
        "said": SAID,
        "line": 0,
        "key": "gpu_ecc_errors",
        "values": OF_A_GPU,
    }


def test_a_line_of_the_command_is_quoted_elsewhere_too(tmp_path: Path) -> None:
    seen = observe_text("vllm serve m \\\n  --max-model-lenn 5", "0.11.0")
    back = loads(dumps(Environment({"command": seen}))).seen()
    assert [proof(record) for record in back.observations] == [(Line(2, "--max-model-lenn 5"),)]
    (old,) = (each for each in BEFORE_KEYS["export"]["observations"] if "not a list" in each["said"])
    (record,) = loads(exported(tmp_path, observations=[old]).read_text(encoding="utf-8")).seen().observations
    assert proof(record) == ()


def test_values_of_an_export_cannot_style_the_terminal_or_be_endless(tmp_path: Path) -> None:
    values = {**OF_A_GPU, "gpu": "\x1b[2J" + "x" * 100_000}
    item = {"probe": "gpu", "level": "MACHINE", "said": SAID, "key": "gpu_ecc_errors", "values": values}
    (record,) = loads(exported(tmp_path, observations=[item]).read_text(encoding="utf-8")).seen().observations
    assert "\x1b" not in str(record)
    assert len(str(record)) < 10_000


def test_hostile_exports_are_refused_or_bounded() -> None:
    with pytest.raises(EnvironmentFileError):
        loads("x" * ((16 << 20) + 1))
