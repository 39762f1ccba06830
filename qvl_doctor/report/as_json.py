"""The JSON report, schema version 1 (schema-v1.json next to this file). `jsonl` is the same without indentation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from qvl_doctor import __version__
from qvl_doctor.facts.table import PACKAGES
from qvl_doctor.late import late_pattern
from qvl_doctor.model import Alternative, Check, Diagnosis, Fact, Facts, Finding, Fix, Lead

SCHEMA = "qvl-doctor/report/1"

# Legal in JSON as they are, but a line separator would break a report a line, a control character or a change of
# direction would reach the terminal of who prints it, and half a surrogate pair cannot be written as UTF-8 at all.
_ESCAPED = late_pattern(r"[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_BROKEN = late_pattern(r"[\ud800-\udfff]")
_DEPTH = 8
#: Where a fact of a log's report is from that the log does not state → what the report calls it.
_TRUST = {
    "option": "option",
    "command": "option",
    "pip": "option",
    "pasted": "pasted",
    "mentioned": "mentioned",
    "inferred": "inferred",
}


def dumps(diagnosis: Diagnosis, indent: int | None = None) -> str:
    """The report as text without a line end; one line where `indent` is None. It is to be written as UTF-8."""
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(as_dict(diagnosis), ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", _BROKEN.sub("\ufffd", text))


def as_dict(diagnosis: Diagnosis) -> dict[str, Any]:
    """The report as plain values, in the shape of schema version 1."""
    return {
        "schema": SCHEMA,
        "version": __version__,
        "source": diagnosis.source,
        "verdict": diagnosis.verdict,
        "summary": dict(diagnosis.summary),
        "facts": _facts(diagnosis.facts),
        **({"trust": trust} if (trust := _trust(diagnosis)) else {}),
        "findings": [_finding(finding) for finding in diagnosis.findings],
        **({"ignored": list(diagnosis.ignored)} if diagnosis.ignored else {}),
        "command": {"before": diagnosis.command.before, "after": diagnosis.command.after}
        if diagnosis.command
        else None,
        "runs": [
            {"first_line": run.first_line, "last_line": run.last_line, "verdict": run.verdict}
            | ({"origin": run.origin} if run.origin else {})
            for run in diagnosis.runs
        ],
        "timeline": [{"phase": phase.phase, "seconds": plain(phase.seconds)} for phase in diagnosis.timeline],
        "checks": [_check(check) for check in diagnosis.checks],
        "alternatives": [_alternative(way) for way in diagnosis.alternatives],
        "patch": diagnosis.patch or None,
        "not_checked": [text["en"] for text in diagnosis.not_checked],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "role": finding.role,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "title": dict(finding.title),
        "why": dict(finding.why),
        "evidence": [{"line": line.number, "text": line.text} for line in finding.evidence],
        "fixes": [_fix(fix) for fix in finding.fixes],
        "references": list(finding.references),
        **({"leads": [_lead(lead) for lead in finding.leads]} if finding.leads else {}),
    }


def _lead(lead: Lead) -> dict[str, Any]:
    return {"text": dict(lead.text), "ground": lead.ground, "flags": list(lead.settings)}


def _check(check: Check) -> dict[str, Any]:
    return {
        "group": check.group,
        "name": check.name,
        "status": check.status,
        "detail": dict(check.detail),
        "rules": list(check.rules),
    }


def _alternative(way: Alternative) -> dict[str, Any]:
    return {
        "text": dict(way.text),
        "change": plain(way.change) if way.change else None,
        "leaves": plain(way.leaves),
        "verified": dict(way.verified) if way.verified else None,
    }


def _fix(fix: Fix) -> dict[str, Any]:
    return {
        "text": dict(fix.text),
        "change": plain(fix.change) if fix.change else None,
        "verified": dict(fix.verified) if fix.verified else None,
    }


def _facts(facts: Facts) -> dict[str, Any]:
    """Facts by name, with memory numbers and package versions in groups of their own, if there are any."""
    groups: dict[str, dict[str, Any]] = {"": {}, "memory": {}, "packages": {}}
    for name, fact in facts.items():
        groups[_group(name, fact)][name] = plain(fact.value)
    return groups[""] | {name: group for name, group in groups.items() if name and group}


def _trust(diagnosis: Diagnosis) -> dict[str, str]:
    """How far each fact of a log is to be trusted that the log itself does not state."""
    if diagnosis.kind != "log":
        return {}
    return {name: _TRUST[fact.source] for name, fact in diagnosis.facts.items() if fact.source in _TRUST}


def _group(name: str, fact: Fact) -> str:
    if name == "vllm":
        return ""
    if fact.source == "pip" or name in PACKAGES:
        return "packages"
    is_number = isinstance(fact.value, (int, float)) and not isinstance(fact.value, bool)
    return "memory" if is_number and (name.endswith("_gib") or name.startswith(("kv_", "gpu_"))) else ""


def plain(value: Any, depth: int = _DEPTH) -> Any:
    """The value in JSON's own types, however it came; a number that JSON does not have becomes null."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth and isinstance(value, Mapping):
        return {str(key): plain(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, depth - 1) for item in value]
    return str(value)
