"""The checklist of `check`.

For each thing that it looks at, what was found, which finding is about it, or why it could not be checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from qvl_doctor.facts.lines import LINES, CheckLine
from qvl_doctor.messages import both, has, say
from qvl_doctor.model import LANGUAGES, Check, Diagnosis, Facts, Finding, Text, fact_text


class Looked(NamedTuple):
    """What was asked for (`only`), which probes ran, and what they had: a command, a model, an import test.

    `file` is the export that was read instead of this machine, or "".
    """

    only: frozenset[str] = frozenset()
    probes: frozenset[str] = frozenset()
    command: bool = False
    model: str = ""
    import_test: bool = True
    file: str = ""


#: Facts whose values are not shown.
_SILENT = (
    *("args", "vllm_installed", "imports", "port_free", "cache_writable", "model_folder", "plan"),
    *("hub_offline", "tokenizer_files", "model_compared"),
)
_LABELS = {
    "driver_cuda": "CUDA ",
    "torch_cuda": "CUDA ",
    "compute_capability": "sm ",
    "total_gib": "/ ",
    "memory_limit_gib": "≤ ",
    "kv_gib": "KV ",
    "open_files_limit": "nofile ",
    "locked_memory_kib_limit": "memlock KiB ",
}
_WORST = {"fatal": "problem", "degraded": "problem", "notice": "warning"}
#: The values of these facts that are ok. With another value and without a finding the line is unknown.
_GOOD = {
    "imports": "ok",
    "port_free": "yes",
    "vllm_installed": "yes",
    "model_folder": "ok",
    "plan": "fits",
    "tokenizer_files": "yes",
}
#: The order in which they are counted.
STATUSES = ("problem", "warning", "ok", "unknown")


def checklist(diagnosis: Diagnosis, looked: Looked) -> tuple[Check, ...]:
    """All lines. One that could not be checked is `unknown`, not ok, and says why."""
    return tuple(_check(line, diagnosis.facts, diagnosis.findings, looked) for line in LINES)


def counts(checks: Sequence[Check]) -> dict[str, int]:
    """How many lines have each status, in the order of STATUSES, and how many an option left out. Zeros are omitted."""
    unwanted = both("check.why.only"), both("check.why.no_import_test")
    told = ["left_out" if check.detail in unwanted else check.status for check in checks]
    return {status: told.count(status) for status in (*STATUSES, "left_out") if status in told}


def groups(checks: Sequence[Check]) -> Iterator[tuple[str, tuple[Check, ...], bool]]:
    """(group, its lines, whether all of them are unknown for the same reason, so that one line can say so)."""
    for group in dict.fromkeys(check.group for check in checks):
        lines = tuple(check for check in checks if check.group == group)
        alike = all(check.status == "unknown" and check.detail == lines[0].detail for check in lines)
        yield group, lines, alike


def _check(line: CheckLine, facts: Facts, findings: Sequence[Finding], looked: Looked) -> Check:
    against = [finding for finding in findings if finding.check == line.id]
    if against:
        status, detail = _WORST[against[0].severity], against[0].title
    elif why := _unknown(line, facts, looked):
        status, detail = "unknown", why
    else:
        status, detail = "ok", {lang: _detail(line, facts, lang) for lang in LANGUAGES}
    return Check(line.group, line.name, status, detail, tuple(dict.fromkeys(finding.rule for finding in against)))


def _detail(line: CheckLine, facts: Facts, lang: str) -> str:
    key = f"check.ok.{line.name}" if line.name != "flags" or "vllm" in facts else "check.ok.flags_of_any"
    shown = ", ".join(_shown(name, facts) for name in line.facts if name in facts and name not in _SILENT)
    shown = shown.replace(" ×, ", " × ").replace(", / ", " / ")  # what belongs together
    if has(key):
        return say(key, lang, shown=shown)
    return shown or say("check.fine", lang)


def _shown(name: str, facts: Facts) -> str:
    value = facts[name].value
    if name == "torch_cuda" and value == "None":
        return "CPU"
    unit = " GiB" if name.endswith("_gib") else " ×" if name == "gpu_count" else ""
    return f"{_LABELS.get(name, '')}{f'{value:.4g}' if isinstance(value, float) else value}{unit}"


# ---- Why something could not be checked


def _unknown(line: CheckLine, facts: Facts, looked: Looked) -> Text | None:
    """Why a line could not be checked; None if it was."""
    left_out = _left_out(line, looked)
    if left_out:
        return left_out
    if line.name == "imports" and _is(facts, "vllm_installed", "no") and "torch" not in facts:
        return both("check.why.nothing_to_import")  # the test passed because there was nothing to import
    first = line.facts[0]
    if any(
        name in facts and (name not in _GOOD or facts[name].value == _GOOD[name]) for name in line.facts
    ) and not _is(facts, first, 0):
        return None
    return _broken(line, facts) or _reason(line, facts, looked)


def _left_out(line: CheckLine, looked: Looked) -> Text | None:
    if line.name == "imports" and line.group in looked.only and not looked.import_test:
        return both("check.why.no_import_test")
    probe = "imports" if line.name == "imports" else line.group
    if probe not in looked.only:
        return both("check.why.only")
    if line.group == "command" and not looked.command:
        return both("check.why.no_command")
    return both("check.why.not_in_file", file=looked.file) if looked.file and probe not in looked.probes else None


def _broken(line: CheckLine, facts: Facts) -> Text | None:
    fact = facts.get(f"probe_failed_{'imports' if line.name == 'imports' else line.group}")
    return both("check.why.broken", error=fact.value) if fact else None


def _reason(line: CheckLine, facts: Facts, looked: Looked) -> Text:
    if line.group == "packages":
        return _of_packages(line, facts)
    if line.group == "gpu":
        return _of_gpus(facts)
    if line.group == "model" and "model_folder" not in facts:
        return both("check.why.no_folder", model=looked.model) if looked.model else both("check.why.no_model")
    return _first(
        f"check.why.{line.name}_{_value(facts, 'plan_unknown' if line.name == 'fits' else line.facts[0])}",
        f"check.why.{line.name}",
    )


def _of_packages(line: CheckLine, facts: Facts) -> Text:
    if _is(facts, "python_answers", "no"):
        return both("check.why.no_answer")
    if line.name == "imports" and "imports" in facts:
        return _first(f"check.why.imports_{_value(facts, 'imports')}")
    return both("check.why.not_installed", name="vLLM" if line.name in {"vllm", "requirements"} else line.name)


def _of_gpus(facts: Facts) -> Text:
    if _is(facts, "gpu_count", 0):
        return both("check.why.no_gpu")
    nvml = fact_text(facts, "nvml")
    if nvml in {"", "ok"}:
        return both("check.not_seen")
    return _first(f"check.why.nvml_{_value(facts, 'nvml')}", "check.why.nvml", nvml=nvml)


def _first(*keys: str, **values: object) -> Text:
    """The first of these sentences that exists."""
    return both(next((key for key in keys if has(key)), "check.not_seen"), **values)


def _value(facts: Facts, name: str) -> str:
    return fact_text(facts, name).replace("-", "_")


def _is(facts: Facts, name: str, value: object) -> bool:
    return name in facts and facts[name].value == value
