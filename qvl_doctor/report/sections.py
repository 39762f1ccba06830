"""What every format shows alike: which findings get how much room, rows of facts, a sentence on the starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from qvl_doctor import messages
from qvl_doctor.model import EXAMINED, UNRECOGNIZED, Diagnosis, Facts, Finding, Run, fact_number, fact_text

#: Facts that get a row, in this order; `fact.NAME` in messages.yaml is the label. What else is known is in the JSON
#: report.
ROWS = ("model", "architecture", "dtype", "quantization", "gpu_name", "driver", "attention_backend", "max_model_len")
#: Packages that get named; a whole `pip list` would be a wall.
PACKAGES = ("transformers", "torch", "flash_attn", "flashinfer_python", "xformers", "triton", "qwen_vl_utils", "ray")

_MAX_MAIN = 3


class Sections(NamedTuple):
    """The findings by the room that they get.

    `main` are told in full: the causes, or else the first that is more than a remark.
    """

    main: tuple[Finding, ...]
    symptoms: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    notices: tuple[Finding, ...]


def sections(diagnosis: Diagnosis) -> Sections:
    """The findings of a report, sorted into its sections, each in the order of the report."""
    found = diagnosis.findings
    causes = [finding for finding in found if finding.role == "cause"]
    main = (
        causes[:_MAX_MAIN]
        or [finding for finding in found if finding.severity != "notice" and finding.role != "symptom"][:1]
    )
    rest = [finding for finding in found if finding not in main]
    other = [finding for finding in rest if finding.role != "symptom"]
    return Sections(
        tuple(main),
        tuple(finding for finding in rest if finding.role == "symptom"),
        tuple(finding for finding in other if finding.severity != "notice"),
        tuple(finding for finding in other if finding.severity == "notice"),
    )


def doubtful(finding: Finding) -> bool:
    """Whether a finding needs a word of doubt; what no rule knows says so itself."""
    return finding.confidence != "certain" and finding.rule != UNRECOGNIZED


def doubt(finding: Finding, diagnosis: Diagnosis) -> str:
    """The key of the sentence of doubt: "the same text" is one of a log, and what was examined has none."""
    of_no_log = finding.confidence == "likely" and diagnosis.kind == EXAMINED
    return "doubt.examined" if of_no_log else f"doubt.{finding.confidence}"


def fixes_heading(finding: Finding) -> str:
    """The key of the heading above the fixes: for what no rule knows there is advice, and no fix is claimed."""
    return "report.look_at" if finding.rule == UNRECOGNIZED else "report.fixes"


def where(finding: Finding, lang: str) -> str:
    """A finding's line, how often it was seen and, unless it is a symptom, rule and confidence, in brackets."""
    symptom = finding.role == "symptom"
    notes = [
        "" if symptom else finding.rule,
        messages.say("report.line", lang, line=finding.evidence[0].number)
        if finding.evidence and finding.evidence[0].number
        else "",
        messages.say("report.times", lang, count=finding.times) if finding.times > 1 else "",
        messages.say(f"confidence.{finding.confidence}", lang) if doubtful(finding) and not symptom else "",
    ]
    said = messages.say("report.comma", lang).join(filter(None, notes))
    return messages.say("report.brackets", lang, notes=said) if said else ""


def release(facts: Facts) -> list[str]:
    """The release of vLLM and its engine, for the head of a report; the releases that fit where the log names none."""
    fact = facts.get("vllm") or facts.get("vllm_range")
    parts = [f"vLLM {fact.value}"] if fact else []
    return [*parts, fact_text(facts, "engine")] if "engine" in facts else parts


def rows(facts: Facts) -> list[tuple[str, str]]:
    """(label key, value) for what a reader wants to compare with the command that they think they ran."""
    found = [
        (f"fact.{name}", _shown(facts[name].value)) for name in ROWS if name in facts and _shown(facts[name].value)
    ]
    packages = [f"{name.replace('_', '-')} {facts[name].value}" for name in PACKAGES if name in facts]
    pairs = [
        ("fact.parallel", _parallel(facts)),
        ("fact.budget", _budget(facts)),
        ("fact.kv", _kv(facts)),
        ("fact.packages", ", ".join(packages)),
    ]
    return found + [(key, value) for key, value in pairs if value]


def runs(starts: Sequence[Run], lang: str) -> str:
    """One sentence on several starts in one input: above all whether they all died the same way."""
    causes = {run.cause for run in starts}
    if all(run.verdict == "failed" for run in starts) and len(causes) == 1:
        cause = causes.pop()
        key = "report.died_alike" if cause else "report.all_failed"
        return messages.say(key, lang, count=len(starts), cause=cause)
    counts: dict[str, int] = {}
    for run in starts:
        counts[run.verdict] = counts.get(run.verdict, 0) + 1
    words = (f"{messages.say(f'verdict.{verdict}', lang)} {count}" for verdict, count in counts.items())
    verdicts = messages.say("report.comma", lang).join(words)
    return messages.say("report.runs", lang, count=len(starts), verdicts=verdicts)


def _shown(value: Any) -> str:
    return "" if isinstance(value, (Mapping, list, tuple)) or value in {None, "none"} else str(value)


def _parallel(facts: Facts) -> str:
    sizes = {name: fact_number(facts, f"{name}_parallel_size") for name in ("tensor", "pipeline", "data")}
    return ", ".join(f"{name} {size:.0f}" for name, size in sizes.items() if size and size > 1)


def _budget(facts: Facts) -> str:
    """How much of the GPU vLLM may use: the product of the utilization that no one remembers."""
    total, share, budget = (
        fact_number(facts, "total_gib"),
        fact_number(facts, "gpu_memory_utilization"),
        fact_number(facts, "budget_gib"),
    )
    if total is None or share is None:
        return ""
    return f"{share:.2f} × {total:.2f} GiB = {budget if budget is not None else share * total:.2f} GiB"


def _kv(facts: Facts) -> str:
    size, tokens, times, length = (
        fact_number(facts, name) for name in ("kv_gib", "kv_tokens", "concurrency", "concurrency_tokens")
    )
    parts = [f"{size:.2f} GiB" if size is not None else "", f"{tokens:,.0f} tokens" if tokens is not None else ""]
    if times is not None and length is not None:
        parts.append(f"{times:.2f} × {length:,.0f} tokens")
    return " = ".join(filter(None, parts))


def ignored(diagnosis: Diagnosis, lang: str) -> str:
    """How many findings --ignore left out, and of which rules; "" if none."""
    rules = diagnosis.ignored
    key = "report.ignored_one" if len(rules) == 1 else "report.ignored"
    named = messages.say("report.comma", lang).join(dict.fromkeys(rules))
    return messages.say(key, lang, count=len(rules), rules=named) if rules else ""
