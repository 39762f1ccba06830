"""The JSON report: one shape, held by the shipped schema, whatever the log was like."""

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from report_samples import DIAGNOSES, FAILED, HEALTHY, HOSTILE, UNKNOWN, text

from qvl_doctor import __version__
from qvl_doctor.model import PHASES, SEVERITIES, Diagnosis, Fact
from qvl_doctor.report.as_json import as_dict, dumps

SCHEMA: dict[str, Any] = json.loads(files("qvl_doctor.report").joinpath("schema-v1.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["timeline"]["items"]["properties"]["phase"]["enum"] == list(PHASES)
    assert SCHEMA["$defs"]["finding"]["properties"]["severity"]["enum"] == list(SEVERITIES)


@given(DIAGNOSES)
def test_every_report_validates(diagnosis: Diagnosis) -> None:
    VALIDATOR.validate(json.loads(dumps(diagnosis)))


@given(DIAGNOSES)
def test_a_report_is_one_line_of_utf8_without_controls(diagnosis: Diagnosis) -> None:
    line = dumps(diagnosis)
    assert len(line.splitlines()) == 1
    assert line.encode("utf-8")
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or char in "\u202e\u2028" for char in line)


def test_indented_and_flat_say_the_same() -> None:
    assert json.loads(dumps(FAILED, indent=2)) == json.loads(dumps(FAILED)) == as_dict(FAILED)
    assert dumps(FAILED, indent=2).startswith('{\n  "schema": "qvl-doctor/report/1",\n')


def test_the_shape() -> None:
    finding = FAILED.findings[0]
    report = as_dict(FAILED)
    assert report == {
        "schema": "qvl-doctor/report/1",
        "version": __version__,
        "source": "pod.log",
        "verdict": "failed",
        "summary": dict(FAILED.summary),
        "facts": {"vllm": "0.7.2", "engine": "V0", "ready": False, "packages": {"transformers": "4.48.3"}},
        "trust": {"transformers": "option"},
        "findings": [
            {
                "rule": "transformers-unknown-model-type",
                "role": "cause",
                "severity": "fatal",
                "confidence": "certain",
                "title": dict(finding.title),
                "why": dict(finding.why),
                "evidence": [
                    {"line": 12, "text": "KeyError: 'qwen2_5_vl'"},
                    {"line": 31, "text": finding.evidence[1].text},
                ],
                "fixes": [
                    {
                        "text": text("Upgrade both packages.", "同时升级两个软件包。"),
                        "change": {"pip": ["vllm>=0.7.3", "transformers>=4.49"]},
                        "verified": None,
                    },
                    {
                        "text": text("Or run an image that has both.", "或使用已包含二者的镜像。"),
                        "change": {"image": "qwenllm/qwenvl:2.5-cu121"},
                        "verified": None,
                    },
                ],
                "references": ["https://github.com/vllm-project/vllm/issues/13446"],
            },
            {
                "rule": "engine-process-failed",
                "role": "symptom",
                "severity": "fatal",
                "confidence": "certain",
                "title": text("The engine process failed to start", "引擎进程启动失败"),
                "why": text("It follows.", "连带结果。"),
                "evidence": [
                    {
                        "line": 45,
                        "text": "RuntimeError: Engine process failed to start. See stack trace for the root cause.",
                    }
                ],
                "fixes": [],
                "references": [],
            },
        ],
        "command": None,
        "runs": [
            {"first_line": 1, "last_line": 50, "verdict": "failed"},
            {"first_line": 51, "last_line": 99, "verdict": "failed"},
        ],
        "timeline": [],
        "checks": [],
        "alternatives": [],
        "patch": None,
        "not_checked": ["The start command is not in the log."],
    }


def test_facts_are_grouped() -> None:
    facts = as_dict(HEALTHY)["facts"]
    assert facts["vllm"] == "0.7.2.dev56+gbf3b79ef"
    assert facts["args"] == {"max_model_len": 1024}
    assert facts["memory"] == {
        "gpu_memory_utilization": 0.7,
        "total_gib": 23.65,
        "budget_gib": 16.55,
        "weights_gib": 15.63,
        "non_torch_gib": 0.08,
        "activation_gib": 0.69,
        "kv_gib": 0.16,
        "kv_tokens": 2976,
        "graphs_gib": 1.91,
    }
    assert "packages" not in facts
    listed = HEALTHY._replace(
        facts={"torch": Fact("2.5.1"), "my-own": Fact("1.0", "pip"), "vllm": Fact("0.7.2", "pip")}
    )
    assert as_dict(listed)["facts"] == {"vllm": "0.7.2", "packages": {"torch": "2.5.1", "my-own": "1.0"}}
    named = HEALTHY._replace(facts={"gpu_name": Fact("L4"), "kv_cache_dtype": Fact("auto")})
    assert as_dict(named)["facts"] == {"gpu_name": "L4", "kv_cache_dtype": "auto"}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_lacks_are_null(number: float) -> None:
    report = json.loads(dumps(HEALTHY._replace(facts={"weights_gib": Fact(number)})))
    assert report["facts"]["memory"] == {"weights_gib": None}
    VALIDATOR.validate(report)


def test_hostile_text_survives_as_text() -> None:
    report = dumps(FAILED._replace(summary=text(HOSTILE, HOSTILE)))
    assert json.loads(report)["summary"]["en"] == HOSTILE.replace("\ud800", "\ufffd")
    assert "\x1b" not in report


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "dead"},
        {"extra": 1},
        {"summary": {"en": "no Chinese"}},
        {"not_checked": [{"en": "x", "zh": "x"}]},
        {"timeline": [{"phase": "elsewhere", "seconds": 1}]},
        {"runs": [{"first_line": 1, "last_line": 2}]},
        {"facts": {"memory": {"weights_gib": "15.63 GiB"}}},
        {"command": {"before": "vllm serve x"}},
    ],
)
def test_the_schema_is_closed(change: dict[str, Any]) -> None:
    VALIDATOR.validate(as_dict(FAILED))
    assert not VALIDATOR.is_valid(as_dict(FAILED) | change)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("role", "victim"),
        ("severity", "bad"),
        ("confidence", "sure"),
        ("evidence", [{"line": "12", "text": ""}]),
        ("x", 1),
    ],
)
def test_findings_are_closed(key: str, value: Any) -> None:
    report = as_dict(FAILED)
    report["findings"][0][key] = value
    assert not VALIDATOR.is_valid(report)


def test_leads_are_apart_from_fixes() -> None:
    finding = as_dict(UNKNOWN)["findings"][0]
    assert finding["leads"] == [
        {
            "text": text("The error itself names `--x`.", "报错文本本身提到了 `--x`。"),
            "ground": "words",
            "flags": ["--x"],
        },
        {
            "text": text("It was raised in the cache.", "报错发生在缓存中。"),
            "ground": "frame",
            "flags": ["--no-cache", "A=1"],
        },
    ]
    assert [fix["change"] for fix in finding["fixes"]] == [None]
    # A report without any is as it was.
    assert all("leads" not in each for each in as_dict(FAILED)["findings"])


def test_leads_are_closed() -> None:
    for wrong in ({"ground": "guess"}, {"more": 1}, {"flags": "--x"}):
        report = as_dict(UNKNOWN)
        report["findings"][0]["leads"][0] |= wrong
        assert not VALIDATOR.is_valid(report), wrong
    report = as_dict(UNKNOWN)
    report["findings"][0]["leads"] *= 2
    assert not VALIDATOR.is_valid(report)  # at most three
    report["findings"][0]["leads"] = []
    assert not VALIDATOR.is_valid(report)


def test_changes_are_closed() -> None:
    report = as_dict(FAILED)
    report["findings"][0]["fixes"][0]["change"] = {
        "flags": {"--x": True, "--y": None, "--z": ["a", "b"], "--m": {"k": 1}},
        "env": {"A": None},
    }
    VALIDATOR.validate(report)
    report["findings"][0]["fixes"][0]["change"] = {"flag": {"--x": True}}
    assert not VALIDATOR.is_valid(report)


def test_starting_is_cheap(root: Path) -> None:
    code = "import qvl_doctor.report.as_json, sys; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"rich", "yaml", "typer", "jsonschema", "packaging", "httpx"} & set(loaded)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("log", None), ("computed", None), ("probe", None), ("manifest", None),
        ("option", "option"), ("command", "option"), ("pip", "option"),
        ("pasted", "pasted"), ("mentioned", "mentioned"), ("inferred", "inferred"),
    ],
)  # fmt: skip
def test_trust_is_told_of_what_a_log_does_not_state(source: str, shown: str | None) -> None:
    report = as_dict(FAILED._replace(facts={"vllm": Fact("0.7.2", source), "engine": Fact("V0")}))
    assert report.get("trust") == ({"vllm": shown} if shown else None)
    assert "trust" not in as_dict(FAILED._replace(shown=FAILED.shown._replace(kind="examined")))
