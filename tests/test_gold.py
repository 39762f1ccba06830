"""Each whole log below fixtures/ leads to exactly the report beside it: both languages, every fix, every number."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
from update_gold import FIXTURES, gold_of, logs, report_of

LOGS = logs()


@pytest.mark.parametrize("log", LOGS, ids=[log.relative_to(FIXTURES).as_posix() for log in LOGS])
def test_report_is_the_gold_one(log: Path) -> None:
    assert json.loads(report_of(log)) == json.loads(gold_of(log).read_text(encoding="utf-8")), (
        "see tools/update_gold.py"
    )


@pytest.mark.parametrize("log", LOGS, ids=[log.relative_to(FIXTURES).as_posix() for log in LOGS])
def test_gold_report_is_valid_and_whole_in_both_languages(log: Path, held_by_schema: Callable[[object], None]) -> None:
    report = json.loads(gold_of(log).read_text(encoding="utf-8"))
    held_by_schema(report)
    texts = [report["summary"], *(finding[part] for finding in report["findings"] for part in ("title", "why"))]
    texts += [fix["text"] for finding in report["findings"] for fix in finding["fixes"]]
    for text in texts:
        assert text["en"]
        assert text["zh"]


def test_failed_start_ups_fail_and_healthy_ones_do_not() -> None:
    for log in LOGS:
        verdict = json.loads(gold_of(log).read_text(encoding="utf-8"))["verdict"]
        right = {"failed": {"failed"}, "healthy": {"healthy"}, "requests": {"healthy", "degraded", "unknown"}}
        assert verdict in right.get(log.parent.name, {verdict}), log


def finding(name: str) -> dict[str, Any]:
    first: dict[str, Any] = report(name)["findings"][0]
    return first


def report(name: str) -> dict[str, Any]:
    gold: dict[str, Any] = json.loads((FIXTURES / f"article/{name}.report.json").read_text(encoding="utf-8"))
    return gold


def changes(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [fix.get("change", {}) for fix in found["fixes"]]


def test_article_model_type_unknown_to_transformers() -> None:
    for name in ("qwen2_5_vl-keyerror", "qwen2_5_vl-keyerror-with-pip-list"):
        found = finding(name)
        assert (found["rule"], found["role"]) == ("transformers-unknown-model-type", "cause")
        assert changes(found)[0]["pip"] == ["vllm>=0.7.3", "transformers>=4.49"]
        assert {"image": "qwenllm/qwenvl:2.5-cu121"} in changes(found)
    assert "4.48.3 → 4.49" in str(finding("qwen2_5_vl-keyerror-with-pip-list")["why"])
    assert report("working-pair")["verdict"] == "healthy"


def test_article_out_of_memory_from_its_bare_line() -> None:
    found = finding("oom-9.03")
    assert (found["role"], found["confidence"]) == ("cause", "likely")
    assert changes(found)[0]["flags"] == {"--max-model-len": "4096"}
    why = str(found["why"])
    for said in ("9.03 GiB", "5.69 GiB", "23.65 GiB", "17.35 GiB", "--dtype", "--limit-mm-per-prompt", "profiling run"):
        assert said in why


def test_article_worst_case() -> None:
    found = finding("worst-case-5120")
    assert found["severity"] == "degraded"
    assert changes(found)[0]["flags"] == {"--limit-mm-per-prompt": "image=1,video=0", "--max-model-len": "24576"}
    for said in ("3 × 16384", "never below 5120", "`mm_counts`"):
        assert said in str(found["why"])
    found = finding("worst-case-81920")
    assert "81920" in str(found["title"])
    assert "5 × 16384" in str(found["why"])
    assert changes(found)[0]["flags"] == {"--limit-mm-per-prompt": "image=1,video=0"}


def test_article_local_file() -> None:
    found = finding("file-url-500")
    assert (found["severity"], found["role"]) == (
        "degraded",
        "cause",
    )  # all that the log shows is that it fails on requests
    assert "--allowed-local-media-path" in str(found["fixes"])
    assert "base64" in str(found["fixes"])


def test_article_healthy_start_up() -> None:
    gold = report("healthy")
    assert gold["verdict"] == "healthy"
    (found,) = gold["findings"]
    assert found["severity"] == "notice"
    for said in ("0.16 GiB", "2,976", "16,384"):
        assert said in str(found["title"])
    seconds = {phase["phase"]: phase["seconds"] for phase in gold["timeline"]}
    assert (seconds["profile"], seconds["graph-capture"]) == (12.83, 18)
    memory = gold["facts"]["memory"]
    wanted = {
        "total_gib": 23.65,
        "weights_gib": 15.63,
        "activation_gib": 0.69,
        "kv_gib": 0.16,
        "graphs_gib": 1.91,
        "kv_blocks": 186,
    }
    assert {name: memory[name] for name in wanted} == pytest.approx(wanted, abs=0.01)
