"""A manifest: each vLLM command in it, what the cluster says of its pod where it does, and the file corrected."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from difflib import unified_diff
from typing import NamedTuple

from qvl_doctor import kube, rulebook
from qvl_doctor.diagnose.examining import examine
from qvl_doctor.diagnose.verdict import concluded, of_pod, without
from qvl_doctor.launch.command import Command, LaunchError
from qvl_doctor.launch.observing import arguments_of
from qvl_doctor.launch.patching import patched, unpatched
from qvl_doctor.launch.pods.pod_commands import ManifestSource
from qvl_doctor.manifest.inspection import Inspected, inspect_manifest, owner_of, release_of
from qvl_doctor.memory import model_cards
from qvl_doctor.messages import both
from qvl_doctor.model import SEVERITIES, Diagnosis, Rule, Seen, Shown, Text
from qvl_doctor.sizing.advice import corrected
from qvl_doctor.sizing.case import Known
from qvl_doctor.sizing.planning import planned
from qvl_doctor.workflows.advice import advised
from qvl_doctor.workflows.asked import no_manifest

_CONTEXT = 2
_MOST_LINES = 200
#: A change can ask for another, and that for a third; nothing known goes on from there.
_ROUNDS = 3


class Found(NamedTuple):
    """A diagnosis, and the corrected file with the secrets that it had; "" where nothing in it is to be changed."""

    diagnosis: Diagnosis
    file: str = ""


class _Asked(NamedTuple):
    """What every check of a command needs."""

    source: str
    rules: Sequence[Rule]
    ignore: Collection[str]
    known: Known
    start_s: float


def diagnose(
    text: str,
    *,
    source: str = "-",
    known: Known = Known(),  # noqa: B008 — frozen
    start_s: float = 0.0,
    rules: Sequence[Rule] = (),
    ignore: Collection[str] = (),
) -> Found:
    """What a text of manifests says and, of `kubectl get -o yaml` and `kubectl describe`, what the cluster says.

    `known` has the GPU, and the release where the text names none; `start_s` is how long a start takes. Raises
    InputError if the text is neither.
    """
    asked = _Asked(source, rules or rulebook.shipped(packed=True), ignore, known, start_s)
    status = kube.inspect_kubectl_output(text)
    try:
        first = _round(text, status, asked)
    except LaunchError as error:
        if status is None:
            raise no_manifest(error, text, source) from None
        return Found(without(of_pod(examine(source, status, asked.rules)), ignore))
    found = _together(source, first.singles, first.looked)
    file = _settled(first, asked)
    if file:
        before, shown = (unpatched(inspect_manifest(each, known.release)[0].command) for each in (text, file))
        lines = _changes(before, shown) if "\n" in text.strip() else []  # of one line, the command says it better
        found = found._replace(patch=shown, changes=tuple(lines))
    return Found(of_pod(found) if status is not None else found, file)


class _Round(NamedTuple):
    """The commands of a text, the diagnosis of each, and the text with the first fixes made.

    "" where nothing is to be changed.
    """

    looked: Sequence[Inspected]
    singles: Sequence[Diagnosis]
    file: str


def _round(text: str, status: Seen | None, asked: _Asked) -> _Round:
    looked = inspect_manifest(text, asked.known.release, asked.start_s)
    singles, after = [], []
    for index, each in enumerate(looked):
        single = _single(each, status if index == 0 else None, asked)
        changed = corrected(single.findings, each.command, each.release)
        later = release_of(changed.image or "")
        if later and later != each.release:  # what holds for one release need not hold for another
            again = inspect_manifest(text, later, asked.start_s)[index]
            single = _with_image(single, _single(again, None, asked), later, changed.image or "")
            changed = replace(corrected(single.findings, again.command, later), image=changed.image)
        singles.append(single)
        after.append(changed)
    file = patched(*after, reveal=True)
    return _Round(looked, singles, file if file != text else "")


def _settled(first: _Round, asked: _Asked) -> str:
    """The corrected file, corrected until nothing is left: more GPUs for the command need more GPUs for the pod."""
    file = first.file
    for _ in range(_ROUNDS):
        again = _round(file, None, asked) if file else None
        if again is None or not again.file:
            break
        file = again.file
    return file


def _single(each: Inspected, status: Seen | None, asked: _Asked) -> Diagnosis:
    """The diagnosis of one command and what is around it."""
    seen, own = each.seen, asked.known._replace(release=each.release)
    card = model_cards.find(each.model) if each.model else None
    if card:
        own = own._replace(shape=card.shape, quantization=card.quantization)
    notes = _notes(each.command)
    uncomputed: Text | None = both("manifest.no_gpu")
    if own.gpu:
        arguments = {**arguments_of(each.command, each.release), **({"model": each.model} if each.model else {})}
        plan = planned(arguments, own, each.command.env)
        seen |= Seen(plan.facts, plan.observations)
        uncomputed = (
            both("manifest.no_card", detail=str(arguments["model"])[:120])
            if plan.why == "model" and plan.reason
            else plan.reason
        )
        notes += [uncomputed] if uncomputed else []
    foreign = _not_of_vllm(each.command)
    notes += [foreign] if foreign else []
    uncomputed = uncomputed or foreign
    found = examine(asked.source, seen | (status or Seen()), asked.rules)
    found = concluded(found, reason=uncomputed, unasked=own.gpu is None)
    # One text for all commands, later.
    found = advised(without(found, asked.ignore), own, each.command, whole=False)
    return found._replace(not_checked=tuple({note["en"]: note for note in (*found.not_checked, *notes)}.values()))


def _with_image(first: Diagnosis, again: Diagnosis, release: str, image: str) -> Diagnosis:
    """The diagnosis of a command whose image is exchanged: why, and what is wrong with it in the new one."""
    reasons = tuple(one for one in first.findings if any(fix.change.get("image") == image for fix in one.fixes))
    rest = tuple(one for one in again.findings if one.rule not in {reason.rule for reason in reasons})
    findings = tuple(sorted((*reasons, *rest), key=lambda one: SEVERITIES.index(one.severity)))
    note = both("manifest.other_release", release=release, image=image)
    theirs = {
        name: first.facts[name] for name in ("vllm", "engine") if name in first.facts
    }  # what the file says still counts
    return concluded(
        Diagnosis(
            first.source,
            facts={**again.facts, **theirs},
            findings=findings,
            not_checked=(note, *first.not_checked),
            alternatives=again.alternatives,
            shown=again.shown,
        )
    )


def _not_of_vllm(command: Command) -> Text | None:
    """That another program reads the arguments, which may ignore them or add its own; None where vLLM does."""
    program = command.program
    own = not program or program[-1] == "serve" or program[-1].startswith("vllm.") or program[-1].endswith("vllm")
    return None if own else both("manifest.other_program", program=" ".join(program)[:120])


def _notes(command: Command) -> list[Text]:
    """Notes on fragments, which do not show everything, and on objects that a controller made."""
    source = command.source
    fragment = (
        isinstance(source, ManifestSource) and source.shape == "kubernetes" and not source.box.spot.root.get("kind")
    )
    owners = owner_of(command)[-1:]
    owned: list[Text] = [
        both("manifest.owned", where=command.where[:200], owner=f"{kind}/{name}"[:200]) for kind, name in owners
    ]
    return [both("manifest.fragment")] if fragment else owned


def _together(source: str, singles: Sequence[Diagnosis], looked: Sequence[Inspected]) -> Diagnosis:
    """Several commands of one file as one diagnosis: all findings, and the facts of the command that is worst off."""
    if len(singles) == 1:
        return singles[0]
    worst = min(
        singles, key=lambda each: SEVERITIES.index(each.findings[0].severity) if each.findings else len(SEVERITIES)
    )
    unique = {(one.rule, one.title["en"], one.evidence): one for each in singles for one in each.findings}
    findings = tuple(sorted(unique.values(), key=lambda one: SEVERITIES.index(one.severity)))
    notes = dict.fromkeys(note["en"] for each in singles for note in each.not_checked)
    kept = tuple(next(note for each in singles for note in each.not_checked if note["en"] == said) for said in notes)
    where = looked[singles.index(worst)].command.where
    several = both("manifest.several", count=len(singles), where=where)
    return concluded(
        Diagnosis(
            source,
            facts=worst.facts,
            findings=findings,
            not_checked=(several, *kept),
            command=worst.command,
            alternatives=worst.alternatives,
            shown=_shown(singles),
        )
    )


def _shown(singles: Sequence[Diagnosis]) -> Shown:
    """What all commands show together: one that could not be computed leaves the whole uncertain."""
    reason = next((each.shown.reason for each in singles if each.shown.reason), None)
    ignored = {(one.rule, one.title["en"], one.evidence): one for each in singles for one in each.shown.ignored}
    return singles[0].shown._replace(reason=reason, ignored=tuple(ignored.values()))


def _changes(before: str, after: str) -> list[tuple[str, str]]:
    """What two texts differ in, with some lines around each place: (place, same, removed or added, text)."""
    kinds = {"@": "place", " ": "same", "-": "removed", "+": "added"}
    lines = list(unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=_CONTEXT))[2:]
    return [(kinds[line[0]], line if line[0] == "@" else line[1:]) for line in lines[:_MOST_LINES]]
