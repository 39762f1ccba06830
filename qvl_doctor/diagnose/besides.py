"""What is in an input next to its log: the command that was pasted with it, and what people say of what ran.

A log's own words count more than an option, an option more than a pasted command, that more than what is only
mentioned, and all of them more than what is inferred from call sites.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from qvl_doctor.facts.context import ContextReader
from qvl_doctor.late import late_pattern
from qvl_doctor.logs.user_text import held_user_text
from qvl_doctor.messages import both
from qvl_doctor.model import NOTHING, Fact, Facts, Record, Text, fact_text
from qvl_doctor.versions import is_spec, release, satisfies

if TYPE_CHECKING:
    from qvl_doctor.launch.pasted import Pasted

#: Facts whose values are compared where two sources state them.
_COMPARED = {"vllm": "vLLM", "transformers": "Transformers", "torch": "PyTorch"}
#: What a line of a command, a manifest or a call has.
_SIGN = late_pattern(
    r"vllm[ \t]+serve\s|-m[ \t]+vllm\.entrypoints|\b(?:docker|podman|nerdctl)[ \t]+run\s|\b(?:LLM|(?:Async)?EngineArgs)\((?!\*)"
    r"|engine_kwargs|^\s*(?:- )?[\"']?(?:args|command|image|containers|services|apiVersion)[\"']?\s*:"
)
_SIGNS = (
    "serve",
    "-m",
    " run ",
    "LLM(",
    "Args(",
    "kwargs",
    "args",
    "command",
    "image",
    "containers",
    "services",
    "apiVersion",
)
#: A model that someone took out of the command, or a variable.
_PLACEHOLDER = late_pattern(r"[<$\[{].*|.*[<>].*|your[-_ ].*|path/to/.*|/path/to/.*|model|\*+", re.IGNORECASE)


class Besides:
    """Reads, next to the log, what no one logged. Nothing is looked for before someone asks."""

    def __init__(self) -> None:
        self._context = ContextReader()
        self._closed = False
        self._mentioned: tuple[int, Facts] = (-1, NOTHING)
        self._pasted: tuple[int, str, Pasted | None] = (-1, "", None)

    def feed(self, record: Record) -> None:
        """Takes in a record. Behind a logged prompt nothing is read.

        What users wrote goes on over any number of lines.
        """
        if self._closed:
            return
        if held_user_text(record.message):
            self._closed = True
            return
        self._context.feed(record)

    def facts(self, logged: Facts, known: Facts) -> dict[str, Fact]:
        """What is known from elsewhere than the log: of each fact what counts most. `known` are those of options."""
        mentioned = self._of_context()
        said = {**mentioned, **known, **logged}
        found = dict(mentioned)
        if "args" not in known and "args" not in logged:
            found |= self._of_command(fact_text(said, "vllm"))
        return {**found, **known}

    def pasted(self, release: str) -> Pasted | None:
        """The command that was pasted, None if there is none."""
        lines = self._context.lines
        if not any(any(sign in line.text for sign in _SIGNS) and _SIGN.search(line.text) for line in lines):
            return None
        if self._pasted[:2] != (len(lines), release):
            from qvl_doctor.launch.pasted import pasted_command

            found = pasted_command([(line.number, line.text) for line in lines], release)
            self._pasted = (len(lines), release, found)
        return self._pasted[2]

    def disagreements(self, facts: Facts, inferred: str) -> tuple[Text, ...]:
        """Where the text says another release than the one that counts, or one that the log's lines do not fit."""
        notes = []
        for name, title in _COMPARED.items():
            said, used = self._of_context().get(name), facts.get(name)
            if said is None or used is None:
                continue
            if not _same(str(said.value), str(used.value)):
                values = {"name": title, "said": said.value, "line": said.line, "used": used.value}
                notes.append(both("not_checked.said_otherwise", **values))
            elif name == "vllm" and used.source == "mentioned" and not _fits(str(used.value), inferred):
                notes.append(both("not_checked.said_of_release", said=said.value, line=said.line, fits=inferred))
        return tuple(notes)

    def _of_context(self) -> Facts:
        count = len(self._context.lines)
        if self._mentioned[0] != count or not count:
            self._mentioned = (count, self._context.facts())
        return self._mentioned[1]

    def _of_command(self, release: str) -> Mapping[str, Fact]:
        pasted = self.pasted(release)
        if pasted is None:
            return {}
        from qvl_doctor.launch.observing import facts_of

        found = facts_of(pasted.command, release)
        if _PLACEHOLDER.fullmatch(fact_text(found, "model")):
            found.pop("model", None)
        return {name: fact._replace(source="pasted", line=pasted.line) for name, fact in found.items()}


def _same(one: str, other: str) -> bool:
    """Whether two versions can be one: 0.9 and 0.9.1 can."""
    first, second = release(one) or (), release(other) or ()
    short = min(len(first), len(second))
    return first[:short] == second[:short]


def _fits(version: str, inferred: str) -> bool:
    if not inferred:
        return True
    return satisfies(version, inferred) is not False if is_spec(inferred) else _same(version, inferred)
