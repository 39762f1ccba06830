"""A diagnosis with what the user's command and the memory model add.

What a request was for, checked fixes, the command corrected.

Nothing is judged here: which findings there are, and what is their cause, is decided before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qvl_doctor.late import late_pattern
from qvl_doctor.launch.command import Command
from qvl_doctor.launch.editing import edit
from qvl_doctor.launch.logged_command import from_arguments
from qvl_doctor.launch.observing import arguments_of
from qvl_doctor.launch.patching import patched
from qvl_doctor.launch.spelling import spell_flags
from qvl_doctor.launch.writing import diff, docker_line, shell_line
from qvl_doctor.memory import forensics
from qvl_doctor.memory.solver import Case, Solution, alternatives, holds, lacks, solve
from qvl_doctor.messages import both, joined, listed
from qvl_doctor.model import Commands, Diagnosis, Facts, Finding, Fix, Text, fact_count, fact_map, fact_text
from qvl_doctor.redaction.line import MASK
from qvl_doctor.remedies.gpu_memory import others_gib
from qvl_doctor.sizing import wording
from qvl_doctor.sizing.case import Known, Unsized, given_of, of_arguments, of_facts

#: Flags that change what a start takes on a GPU.
SIZING_FLAGS = frozenset(
    (
        "--max-model-len",
        "--max-num-seqs",
        "--max-num-batched-tokens",
        "--gpu-memory-utilization",
        "--limit-mm-per-prompt",
        "--mm-processor-kwargs",
        "--kv-cache-dtype",
        "--kv-cache-memory-bytes",
        "--enforce-eager",
        "--tensor-parallel-size",
        "--pipeline-parallel-size",
        "--cpu-offload-gb",
        "--language-model-only",
        "--skip-mm-profiling",
    )
)
_TRIED = late_pattern(r"Tried to allocate ([\d.]{1,12}) (bytes|[KMG]iB)")
#: The model's arithmetic on numbers that make no sense.
_BROKEN = (ValueError, ArithmeticError, TypeError, KeyError, IndexError)


def advise(
    diagnosis: Diagnosis, known: Known | None = None, command: Command | None = None, *, whole: bool = True
) -> Diagnosis:
    """The diagnosis with all that can be added.

    `command` is the user's own where the input is not it; `known` as for `of_facts`.

    `whole`: with the whole text that the command is in, corrected.
    """
    release = fact_text(diagnosis.facts, "vllm") or (known.release if known else "")
    given = command or _logged_command(diagnosis.facts, release)
    case = _case(diagnosis.facts, known, command, release)
    notes: tuple[Text, ...] = ()
    if isinstance(case, Unsized):
        if any(finding.memory for finding in diagnosis.findings):
            notes = (both(f"sizing.{case.reason}", detail=case.detail),)
    else:
        try:
            diagnosis = _sized(diagnosis, case, given, release)
        except _BROKEN as error:
            notes = (both("sizing.numbers", detail=str(error)[:120]),)
    return _with_command(diagnosis._replace(not_checked=(*diagnosis.not_checked, *notes)), given, release, whole=whole)


def _case(facts: Facts, known: Known | None, command: Command | None, release: str) -> Case | Unsized:
    if command is None:
        return of_facts(facts, known)
    logged = of_facts(facts, known)
    if isinstance(logged, Case) and any(fact.source == "log" for fact in facts.values()):
        return logged  # what ran counts, and it has measured something
    found = known or Known()
    gpu = found.gpu or (logged.gpu if isinstance(logged, Case) else None)
    asked = Known(found.shape, found.quantization, gpu, release)
    return of_arguments(arguments_of(command, release), asked, command.env)


def _sized(diagnosis: Diagnosis, case: Case, command: Command | None, release: str) -> Diagnosis:
    """What requests were for, which fixes are enough, and the change with the least loss for the first shortage."""
    facts = diagnosis.facts
    explained = [_explained(each, case, facts) if each.memory else each for each in diagnosis.findings]
    found = [_checked(each, case, command, release, facts) for each in explained]
    first = next((index for index, each in enumerate(found) if _short(each, case, facts)), None)
    if first is None:
        return diagnosis._replace(findings=tuple(found))
    best = solve(case)
    found[first] = _solved(found[first], case, best)
    ways = tuple(wording.alternative_of(case, trade, other) for trade, other in alternatives(case, best))
    return diagnosis._replace(findings=tuple(found), alternatives=ways)


def _short(finding: Finding, case: Case, facts: Facts) -> bool:
    """Whether the model sees the shortage that a finding is about.

    What other processes hold, or what came later, it does not see.
    """
    if not finding.memory or finding.role == "symptom" or others_gib({}, facts):
        return False
    return not holds(case, case.settings)


def _explained(finding: Finding, case: Case, facts: Facts) -> Finding:
    """The finding with what the failed request was for."""
    tried = next((found for line in finding.evidence if (found := _TRIED.search(line.text))), None)
    if tried is None or tried[2] in {"bytes", "KiB"}:
        return finding
    suspects = forensics.explain(float(tried[1]), tried[2], case.shape, case.settings, case.gpu, _progress(facts))
    if not suspects and tried[2] == "MiB" and float(tried[1]) < 100:
        return finding  # small requests fail anywhere once a GPU is full
    return finding._replace(why=joined(finding.why, wording.explained(f"{tried[1]} {tried[2]}", suspects)))


def _progress(facts: Facts) -> forensics.Progress:
    return forensics.Progress("weights_gib" in facts, fact_count(facts, "kv_blocks"))


def _checked(finding: Finding, case: Case, command: Command | None, release: str, facts: Facts) -> Finding:
    """The finding with each fix that touches memory checked.

    Those that do not suffice by themselves go to the end and say so.
    """
    base_holds = holds(case, case.settings)
    if finding.memory and base_holds:
        return finding  # the model does not see the problem, so it cannot tell what ends it
    enough: list[Fix] = []
    short: list[Fix] = []
    for fix in finding.fixes:
        flags = fix.change.get("flags", {})
        settings = (
            _settings_after(case, command, fix.change, release) if SIZING_FLAGS & flags.keys() and command else None
        )
        if settings is None:
            enough.append(fix)
            continue
        made = case.plan(settings)
        lack = lacks(case, settings, made)
        if not lack:
            enough.append(fix._replace(verified={"by": wording.BY, "detail": wording.detail(made, settings)}))
        elif finding.memory and not others_gib({}, facts):
            short.append(fix._replace(text=joined(fix.text, wording.not_enough(lack, made, settings))))
        else:
            enough.append(fix)
    return finding._replace(fixes=(*enough, *short))


def _settings_after(case: Case, command: Command, change: Mapping[str, Any], release: str) -> Any:
    after = arguments_of(edit(command, change, release), release)
    before = arguments_of(command, release)
    quantization = str(case.given.get("quantization", ""))
    old, new = (given_of(each, quantization) for each in (before, after))
    changed = {name: value for name, value in new.items() if old.get(name) != value}
    for gone in old.keys() - new.keys():
        changed[gone] = None
    return case.settings_with(changed)


def _solved(finding: Finding, case: Case, best: Solution | None) -> Finding:
    """The finding with the change that has the least loss in front."""
    if best is None:
        return finding._replace(why=joined(finding.why, both("advice.no_way")))
    first = wording.fix_of(case, best)
    others = tuple(fix for fix in finding.fixes if fix.change != first.change)
    return finding._replace(fixes=(first, *others)) if best.steps else finding


def _logged_command(facts: Facts, release: str) -> Command | None:
    """The command that a log's arguments stand for."""
    args = fact_map(facts, "args")
    return from_arguments(args, release) if args else None


def corrected(findings: Sequence[Finding], command: Command, release: str) -> Command:
    """The command with the first fix of each cause.

    A log has one cause; of a command everything that is wrong is one.
    """
    changes = [
        _with_secrets(_first_change(finding, command), command)
        for finding in findings
        if finding.role == "cause" and finding.fixes
    ]
    for change in reversed(changes):  # what matters most has the last word
        command = edit(command, change, release)
    return command


def _first_change(finding: Finding, command: Command) -> Mapping[str, Any]:
    """What the first fix changes. A container gets other packages with another image, where a fix names one."""
    first = finding.fixes[0].change
    if "pip" in first and command.image:
        return next((fix.change for fix in finding.fixes if fix.change.get("image")), first)
    return first


def _with_secrets(change: Mapping[str, Any], command: Command) -> Mapping[str, Any]:
    """A change with the command's own value where a finding only has its mask.

    Nothing of a value in which a mask is.
    """
    given = change.get("flags", {})
    flags = {name: command.value(name) if value == MASK else value for name, value in given.items()}
    kept = {
        name: value
        for name, value in flags.items()
        if (value is not None or given[name] is None) and MASK not in str(value)
    }
    return {**change, "flags": kept} if given else change


def _with_command(diagnosis: Diagnosis, command: Command | None, release: str, *, whole: bool) -> Diagnosis:
    """The report's command: the user's own, corrected; and the whole text that it is in."""
    diagnosis = _held_against(diagnosis, command, release)
    if command is None:
        return diagnosis
    after = corrected(diagnosis.findings, command, release)
    if after == command:
        return diagnosis
    before, changed = _line(command), _line(after)
    shown = Commands(before, changed, tuple(diff(command, after))) if changed != before else None
    patch = _patched(after) if whole else ""
    unchanged = bool(patch) and patch == _patched(command)  # writing a whole text is not free
    return diagnosis._replace(command=shown, patch="" if unchanged else patch)


def _held_against(diagnosis: Diagnosis, command: Command | None, release: str) -> Diagnosis:
    """The fixes that change the command. They and the other ways have each value as the corrected command has it."""
    findings = tuple(
        finding._replace(
            fixes=listed(
                fix._replace(change=_spelled(fix.change, command, release))
                for fix in finding.fixes
                if command is None or not _is_made(fix.change, command, release)
            )
        )
        for finding in diagnosis.findings
    )
    ways = tuple(way._replace(change=_spelled(way.change, command, release)) for way in diagnosis.alternatives)
    return diagnosis._replace(findings=findings, alternatives=ways)


def _is_made(change: Mapping[str, Any], command: Command, release: str) -> bool:
    """Whether the command is as a change would make it. What a file of flags or the environment holds is not known."""
    removed = None in (
        *change.get("env", {}).values(),
        *(change.get("flags", {}).values() if command.flag("--config") else ()),
    )
    if not change or removed or not change.keys() <= {"flags", "env"}:
        return False
    return edit(command, change, release) == command


def _spelled(change: Mapping[str, Any], command: Command | None, release: str) -> Mapping[str, Any]:
    """A change with its maps as the texts that the corrected command has."""
    flags = change.get("flags", {})
    if not any(isinstance(value, Mapping) for value in flags.values()):
        return change
    after = edit(command, change, release) if command else None
    told = {}
    for name, value in flags.items():
        made = after.flag(name) if after and isinstance(value, Mapping) else None
        told[name] = made.value if made and not made.keys else value
    return {**change, "flags": spell_flags(told, release)}


def _line(command: Command) -> str:
    docker = command.source is not None and command.source.shape == "docker"
    return docker_line(command) if docker else shell_line(command)


def _patched(command: Command) -> str:
    """The user's whole text with the command changed in it; "" where the command was all of it, on one line."""
    source = command.source
    whole = (
        source is not None and source.text and (source.shape not in {"argv", "shell"} or "\n" in source.text.strip())
    )
    return patched(command) if whole else ""
