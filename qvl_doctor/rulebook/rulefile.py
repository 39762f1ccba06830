"""One rule file: read, judged, and turned into a `Rule`. docs/rules-format.md says in words what is checked here.

Every method reports what is wrong and goes on, so that a writer sees all mistakes of a file at once.
"""

from __future__ import annotations

import builtins
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from qvl_doctor import patterns
from qvl_doctor.facts import table
from qvl_doctor.facts.lines import CHECKS
from qvl_doctor.knowledge.platforms import STEPS
from qvl_doctor.model import LANGUAGES, PLATFORMS, SEVERITIES, Condition, Example, FixTemplate, Rule
from qvl_doctor.observations import names as names_of
from qvl_doctor.observations import needed
from qvl_doctor.observations.levels import LEVELS as OBSERVED
from qvl_doctor.observations.sentences import SENTENCES
from qvl_doctor.rulebook.changes import change_mistakes, plain, plain_change
from qvl_doctor.rulebook.mistakes import Mistake, listed, nearest, short
from qvl_doctor.rulebook.nodes import MAX_BYTES, Node, read_tree
from qvl_doctor.rulebook.observed import example_mistakes, match_mistakes
from qvl_doctor.rulebook.placeholders import placeholders
from qvl_doctor.rulebook.shapes import Shapes
from qvl_doctor.rulebook.texts import unfolded
from qvl_doctor.versions import is_spec, release, satisfies

CONFIDENCES = ("certain", "likely")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LEAST_WORDS = 3
LONG_LITERAL = 25

_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_RELEASES = re.compile(r"\d+(?:\.\d+)+(?:\.post\d+)?(?:–(?:\d+(?:\.\d+)+(?:\.post\d+)?)?)?")
_PLAIN_VERSION = re.compile(r"v?\d+(?:\.\d+)+")


def read_rule(path: str) -> tuple[Rule | None, list[Mistake]]:
    """The rule in a file and all that is wrong with it; the rule counts only if nothing is."""
    try:
        if not os.path.isfile(path):
            return None, [Mistake(0, "", "no-such-file", path=path)]
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        return None, [Mistake(0, "", "unreadable", {"why": error.strerror or "cannot be read"}, path=path)]
    root, mistakes = read_tree(data)
    reader = _Reader(path)
    reader.add(mistakes)
    rule = reader.rule(root) if root else None
    return rule, sorted(reader.mistakes, key=lambda mistake: mistake.line)


class _Reader(Shapes):
    """The fields of a rule, from the top to the bottom of its file."""

    def rule(self, root: Node) -> Rule:
        part = self.map(root, "", "a rule")
        name = self.string(part.get("id"), "id")
        expected = os.path.basename(self.path).removesuffix(".yaml")
        if name and not _ID.fullmatch(name):
            self.wrong(part["id"].line, "id", "id-form", name=name)
        elif name and name != expected:
            self.wrong(part["id"].line, "id", "id-not-file-name", expected=expected, name=name)
        match = tuple(
            self.condition(node, field) for node, field in self.items(part.get("match"), "match", "a match item")
        )
        captured = _captured(match)
        fixes = self.items(part.get("fixes"), "fixes", "a fix")
        rule = Rule(
            id=name,
            severity=self.one_of(part.get("severity"), "severity", SEVERITIES),
            title=self.text(part.get("title"), "title"),
            why=self.text(part.get("why"), "why"),
            match=match,
            fixes=tuple(self.fix(node, field, None if "remedy" in part else captured) for node, field in fixes),
            references=self.references(part.get("references")),
            applies=self.specs(part.get("applies"), "applies", None if "remedy" in part else captured),
            platforms=self.platforms(part.get("platforms"), "platforms"),
            explains=self.ids(part.get("explains"), "explains", name),
            before=self.ids(part.get("before"), "before", name),
            confidence=self.one_of(part.get("confidence"), "confidence", CONFIDENCES) or "certain",
            symptom=self.one_of(part.get("symptom"), "symptom", ("yes", "no")) == "yes",
            memory=self.one_of(part.get("memory"), "memory", ("yes", "no")) == "yes",
            check=self.one_of(part.get("check"), "check", CHECKS),
            remedy=self.remedy(part.get("remedy"), "remedy"),
            **self.tests(part.get("tests")),
            seen_in=self.releases(part.get("seen_in")),
            checked=" ".join(self.string(part.get("checked"), "checked").split()),
            source=self.path,
        )
        self.check_placeholders(rule, part)
        return rule

    def condition(self, node: Node, field: str) -> Condition:
        part = self.map(node, field, "a match item")
        found = {
            name: self.pattern(part.get(name), f"{field}.{name}") for name in ("message", "exception", "frame", "level")
        }
        facts = self.specs(part.get("facts"), f"{field}.facts")
        self.add(match_mistakes(part, field))
        if "observation" in part:
            values = self.specs(part.get("values"), f"{field}.values", None)
            return Condition(
                facts=facts, observation=self.string(part["observation"], f"{field}.observation"), values=values
            )
        if found["level"].upper() in OBSERVED:
            self.wrong(part["level"].line, f"{field}.level", "level-of-observation")
        elif (
            "level" in part
            and found["level"]
            and not any(re.fullmatch(found["level"], level, re.IGNORECASE) for level in LEVELS)
        ):
            self.wrong(part["level"].line, f"{field}.level", "no-level", levels=listed(LEVELS))
        if found["message"]:
            self.check_message(part["message"].line, f"{field}.message", found)
        elif isinstance(node.value, dict) and not facts and not ("message" in part or "facts" in part):
            self.check_telling(node.line, field, found)
        message = found["message"]
        literals = patterns.literals(message) if message else ()
        return Condition(message, found["exception"], found["frame"], found["level"], facts, literals)

    def check_message(self, line: int, field: str, found: Mapping[str, str]) -> None:
        """A message pattern must be telling, and searched only where its literal text is."""
        if found["exception"] and found["frame"]:
            return
        words = patterns.literal_words(found["message"])
        literals = patterns.literals(found["message"])
        if words < LEAST_WORDS and not any(len(literal) >= LONG_LITERAL for literal in literals):
            needs = {"least": LEAST_WORDS, "long": LONG_LITERAL}
            if words:
                self.wrong(line, field, "few-words", count=words, plural="s" * (words != 1), **needs)
            else:
                self.wrong(line, field, "no-words", **needs)
        elif not literals:
            self.wrong(line, field, "no-literal")

    def check_telling(self, line: int, field: str, found: Mapping[str, str]) -> None:
        """What an item without message and facts needs, so that it does not speak on everything."""
        if found["exception"] and found["frame"]:
            return
        if not found["exception"]:
            self.wrong(line, field, "says-little")
            return
        classes = [name for name in dir(builtins) if name.endswith(("Error", "Exception"))]
        common = [name for name in classes if re.fullmatch(found["exception"], name, re.IGNORECASE)]
        if common:
            self.wrong(line, field, "common-exception", name=common[0])

    def fix(self, node: Node, field: str, captured: Collection[str] | None) -> FixTemplate:
        """A fix. It may ask for facts and what the patterns capture.

        Next to a remedy (None) for whatever that answers.
        """
        part = self.map(node, field, "a fix")
        text = {language: self.string(part.get(language), f"{field}.{language}") for language in LANGUAGES}
        self.check_languages(text, node.line, field)
        change = part.get("change")
        if change is not None:
            self.add(change_mistakes(change, f"{field}.change"))
        return FixTemplate(
            text=unfolded(text),
            remedy=self.remedy(part.get("remedy"), f"{field}.remedy"),
            change=plain_change(change) if change else {},
            applies=self.specs(part.get("applies"), f"{field}.applies", None if "remedy" in part else captured),
            platforms=self.platforms(part.get("platforms"), f"{field}.platforms"),
        )

    def platforms(self, node: Node | None, field: str) -> tuple[str, ...]:
        """The platforms that a rule or a fix is for."""
        return tuple(self.one_of(item, place, PLATFORMS) for item, place in self.items(node, field, "a platform"))

    def tests(self, node: Node | None) -> dict[str, Any]:
        part = self.map(node, "tests", "tests") if node else {}
        return {
            kind: tuple(
                self.example(item, field, what) for item, field in self.items(part.get(kind), f"tests.{kind}", what)
            )
            for kind, what in (("matches", "an example that matches"), ("silent", "an example that stays silent"))
        }

    def example(self, node: Node, field: str, what: str) -> Example:
        part = self.map(node, field, what)
        if isinstance(node.value, dict) and not {"log", "observation", "command", "facts"} & part.keys():
            self.wrong(node.line, field, "example-empty")
        log, key, command = (
            self.string(part.get(name), f"{field}.{name}") for name in ("log", "observation", "command")
        )
        self.add(example_mistakes(part, field))
        values = self.strings(part["values"], f"{field}.values") if "values" in part else {}
        facts = plain(part["facts"]) if "facts" in part else {}
        if not isinstance(facts, dict):
            self.wrong(part["facts"].line, f"{field}.facts", "facts-not-a-map")
            facts = {}
        for name in facts:
            self.check_fact(name, part["facts"].line, f"{field}.facts")
            if name in table.names("run"):  # it is about the example's own lines, and cannot just be claimed
                self.wrong(part["facts"].line, f"{field}.facts", "fact-of-the-log", name=name)
        captures = self.strings(part["captures"], f"{field}.captures") if "captures" in part else None
        fixes = (
            tuple(line.strip() for line in self.string(part["fixes"], f"{field}.fixes").splitlines())
            if "fixes" in part
            else None
        )
        return Example(
            self.string(part.get("name"), f"{field}.name"), log, facts, captures, fixes, key, values, command
        )

    def references(self, node: Node | None) -> tuple[str, ...]:
        found = [
            (item, field, self.string(item, field)) for item, field in self.items(node, "references", "a reference")
        ]
        for item, field, text in found:
            if text and not text.startswith("TODO") and not re.fullmatch(r"https?://[^\s/]+\.[^\s/]+(/\S*)?", text):
                self.wrong(item.line, field, "no-address", value=short(text))
        return tuple(text for _, _, text in found)

    def releases(self, node: Node | None) -> tuple[str, ...]:
        found = [
            (item, field, self.string(item, field))
            for item, field in self.items(node, "seen_in", "a range of releases")
        ]
        for item, field, text in found:
            ends = [release(end) or () for end in text.split("–") if end]
            if text and not (_RELEASES.fullmatch(text) and ends == sorted(ends)):
                self.wrong(item.line, field, "no-releases", value=short(text))
        return tuple(text for _, _, text in found)

    # Texts

    def check_placeholders(self, rule: Rule, part: Mapping[str, Node]) -> None:
        """What is in braces must come from somewhere; in the title, always."""
        if rule.remedy:
            return  # what a remedy answers is its own affair
        title = part["title"].line if "title" in part else 0
        for number, item in enumerate(rule.match):
            always, sometimes = _groups(item)
            for name in sorted(placeholders(rule.title) - always - set(item.facts)):
                how = "title-sometimes" if name in sometimes else "title-never"
                self.wrong(title, "title", how, number=number, name=name)
        known = _captured(rule.match) | table.names() | set(STEPS)
        asked = [("why", placeholders(rule.why), part["why"].line if "why" in part else 0)]
        for number, fix in enumerate(rule.fixes):
            if not fix.remedy:
                line = part["fixes"].value[number].line
                asked.append((f"fixes[{number}]", placeholders([*fix.text.values(), fix.change]), line))
        for field, names, line in asked:
            for name in sorted(names - known):
                self.wrong(line, field, "no-value", nearest(name, known), name=name)

    # Names, patterns and ranges

    def pattern(self, node: Node | None, field: str) -> str:
        text = self.string(node, field)
        problem = patterns.check(text) if text else None
        if node and problem:
            self.wrong(node.line, field, "pattern", problem=problem)
        return "" if problem else text

    def specs(self, node: Node | None, field: str, also: Collection[str] | None = ()) -> dict[str, str]:
        """Facts and what is asked of them. Names in `also` are legal as well; None makes every name legal."""
        specs = self.strings(node, field) if node else {}
        for name, asked in specs.items():
            line = node.value[name].line if node else 0
            if also is not None and name not in also:
                self.check_fact(name, line, field)
            self.add(_spec_mistakes(name, asked, line, f"{field}.{name}"))
        if node and not specs and node.value in ({}, ""):
            self.wrong(node.line, field, "empty")
        return specs

    def check_fact(self, name: str, line: int, field: str) -> None:
        known = table.names()
        if name not in known:
            self.wrong(line, field, "no-fact", nearest(name, known), name=name)

    def remedy(self, node: Node | None, field: str) -> str:
        name = self.string(node, field)
        known = _remedies()
        if node and name and name not in known:
            self.wrong(node.line, field, "no-remedy", nearest(name, known), name=name, known=listed(known))
        return name

    def ids(self, node: Node | None, field: str, own: str) -> tuple[str, ...]:
        names = (
            tuple(self.string(item, place) for item, place in self.items(node, field, "a rule's id")) if node else ()
        )
        if node and own in names:
            self.wrong(node.line, field, "names-itself")
        return names


def _groups(item: Condition) -> tuple[frozenset[str], frozenset[str]]:
    """The named groups or observation values that are set whenever the item holds, and those that may be missing."""
    if item.observation in SENTENCES:
        text = SENTENCES[item.observation].text
        always = needed(text) | item.values.keys()
        return frozenset(always), names_of(text) - always
    found = [patterns.groups(pattern) for pattern in (item.message, item.frame) if pattern]
    return frozenset().union(*(always for always, _ in found)), frozenset().union(
        *(sometimes for _, sometimes in found)
    )


def _captured(match: Iterable[Condition]) -> frozenset[str]:
    return frozenset().union(*(names for item in match for names in _groups(item)))


def _spec_mistakes(name: str, asked: str, line: int, field: str) -> Iterator[Mistake]:
    """What is wrong with what is asked of a fact: a range, or a pattern for the whole value.

    What is empty is reported already.
    """
    if is_spec(asked):
        try:
            satisfies("1", asked)
        except ValueError as error:
            yield Mistake(line, field, "bad-range", {"problem": error})
    elif _PLAIN_VERSION.fullmatch(asked):
        yield Mistake(line, field, "version-alone", {"version": asked})
    elif problem := patterns.check(asked) if asked else None:
        yield Mistake(line, field, "pattern", {"problem": problem})
    else:
        known = table.entry(name) if asked else None
        values = known.values if known else ()
        if values and not any(re.fullmatch(asked, value, re.IGNORECASE) for value in values):
            yield Mistake(line, field, "no-such-value", {"value": short(asked), "values": listed(values)})


@lru_cache(maxsize=1)
def _remedies() -> frozenset[str]:
    from qvl_doctor.remedies import names

    return frozenset(names())
