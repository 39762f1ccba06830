"""Will this command start on this card? What is wrong with the command, what memory it takes, and what would fit."""

from __future__ import annotations

from collections.abc import Sequence

from qvl_doctor.diagnose.examining import examine
from qvl_doctor.launch.command import Command
from qvl_doctor.launch.observing import arguments_of, observe_command
from qvl_doctor.messages import both
from qvl_doctor.model import Diagnosis, Fact, Rule, Seen, Text
from qvl_doctor.sizing.advice import advise
from qvl_doctor.sizing.case import Known, Unsized, of_arguments
from qvl_doctor.sizing.wording import facts_of

#: Notes of a plan that are told as they are; for the others there are rules.
_NOTES = {"card-size-nominal": "nominal", "memory-shared-with-host": "shared", "quantization-unknown": "quantization"}


def plan_command(command: Command, known: Known, rules: Sequence[Rule], source: str = "-") -> Diagnosis:
    """The diagnosis of a command on a card, before anything is started. Its facts are what the model computes.

    What the memory model cannot compute is said in `not_checked`; the rest holds all the same.
    """
    seen = observe_command(command, known.release)
    facts = {**seen.facts, "vllm": Fact(known.release, "option")}
    case = of_arguments(arguments_of(command, known.release), known, command.env)
    notes: list[Text] = []
    if isinstance(case, Unsized):
        notes.append(both(f"sizing.{case.reason}", detail=case.detail))
    else:
        try:
            made = case.plan()
        except (ValueError, ArithmeticError) as error:
            notes.append(both("sizing.numbers", detail=str(error)[:120]))
        else:
            facts |= facts_of(case, made) | {"gpu_name": Fact(case.gpu.name, "option")}
            notes += [both(f"plan.{_NOTES[note]}") for note in made.notes if note in _NOTES]
    diagnosis = examine(source, Seen(facts, seen.observations), rules)
    advised = advise(diagnosis, known, command)
    told = [note for note in notes if note not in advised.not_checked]
    return advised._replace(not_checked=(*told, *advised.not_checked))
