"""What can be wrong with rule files: every mistake is a value with its place, and all of their words are here.

Whoever reads a part of a rule says what is wrong by a name of `PROBLEMS` and the values that its text asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from qvl_doctor.model import NOTHING

#: What is said about each mistake. `{near}` is what was most likely meant, where something is near.
PROBLEMS: Mapping[str, str] = {
    # the folder and the file
    "unreadable": "{why}",
    "no-such-file": "no such file",
    "other-ending": "a rule file ends in .yaml",
    "file-twice": "there is a rule of this name already: {other}",
    "number-of-files": "there are {count} rule files (*.yaml) in this folder; 1 to {most} are read",
    "not-topics": "is a map: the name of each topic, with its title in en and zh",
    "no-topic": "a rule stands in the directory of its topic; {file} lists the topics",
    "unknown-topic": "{file} has no topic '{topic}'{near}",
    "topic-without-rules": "there is no rule on the topic '{topic}'",
    "file-too-large": "the file is larger than {kib} KiB",
    "no-utf-8": "the file is not UTF-8 text",
    "control-character": "there is a control character in the file",
    "file-empty": "the file is empty",
    # YAML
    "no-yaml": "is no YAML: {said}; {cause}",
    "too-deep": "nested more than {most} deep",
    "too-many-values": "more than {most} values, aliases counted by what they stand for",
    "tag": "quote this value: '!' at the beginning is a tag ({tag}), and a rule file has none",
    "no-anchor": "'*{anchor}' refers to an anchor that does not exist, or quote this value",
    "second-document": "a second document ('---') begins; one file is one rule",
    "key-not-a-word": "a key is a word, not a list or a map; quote a value that begins with '{{' or '['",
    "key-twice": "'{key}' appears twice, first on line {first}",
    # maps, lists and texts
    "not-a-map": "{what} is a map of {legal}",
    "unknown-key": "{what} takes {legal}; not '{key}'{near}",
    "missing": "there is no {key}",
    "missing-text": "there is no {key} text",
    "not-a-list": "is a list with at least one item; each is {what}",
    "not-a-text": "is a text; quote it if it begins with '{{' or '['",
    "not-texts-by-name": "is a map of names and texts",
    "empty": "is empty",
    "todo": "is not written yet",
    "not-one-of": "is {legal}, not '{value}'{near}",
    # two languages
    "languages-differ": "en and zh differ in {kind}: {only}",
    "no-chinese": "there is no Chinese in the zh text",
    # names
    "id-form": "an id is lower-case words joined by '-', not '{name}'",
    "id-not-file-name": "the id is the file's name: '{expected}', not '{name}'",
    "id-taken": "there is a rule '{name}' already; rename this, or use --override",
    "names-itself": "names the rule itself",
    "no-rule": "there is no rule '{name}'{near}",
    "circle": "goes round: {circle}",
    "no-fact": "there is no fact '{name}'{near}; facts/table.py lists them",
    "no-remedy": "there is no remedy '{name}'{near}; there are: {known}",
    "no-value": "{{{name}}} is no named group and no fact, and there is no remedy{near}",
    "title-sometimes": "match[{number}] captures only in some matches {{{name}}}, and a title needs it whenever the rule speaks",
    "title-never": "match[{number}] does not capture {{{name}}}, and a title needs it whenever the rule speaks",
    "no-check": "there is none, and the rule is about a machine or a command: name its line of the checklist",
    "line-without-rules": "no rule is about the line '{name}' of the checklist",
    # patterns and what is asked of facts
    "pattern": "the pattern {problem}",
    "few-words": "has {count} literal word{plural} (in the poorest of its branches); it needs {least}, or {long} literal "
    "characters in a row, or an exception and a frame beside it",
    "no-words": "has no literal words; it needs {least}, or {long} literal characters in a row, or an exception and a frame "
    "beside it",
    "no-literal": "has no text that every match contains; write its branches as match items of their own",
    "says-little": "says too little; a match item has a message, an observation, facts, or an exception (with a frame if it is common)",
    "common-exception": "'{name}' alone says too little; add a message or a frame",
    "no-level": "fits none of {levels}; it must fit the whole name",
    # observations
    "no-observation": "there is no observation '{key}'{near}; observations/sentences.py lists them",
    "no-placeholder": "the sentence of {key} has no {{{name}}}{near}; it has {names}",
    "observation-lacks": "the sentence of {key} is not said without {names}",
    "observation-by-key": "an observation is matched by its key and its values; there is no text to search",
    "values-of-nothing": "values are those of an observation; name it with 'observation: KEY'",
    "level-of-observation": "no line of a log has this level; match what was seen outside a log with 'observation: KEY'",
    "bad-range": "{problem}",
    "version-alone": "is a range: write '=={version}' or '>={version}'",
    "no-such-value": "'{value}' fits none of {values}",
    # examples, references, releases
    "example-empty": "has neither a log nor facts, no command and no observation",
    "facts-not-a-map": "is a map of facts and their values, such as {{vllm: 0.8.5}}",
    "fact-of-the-log": "{name} is told by the log; put the lines that say it into the example",
    "no-address": "is a web address (https://…), not '{value}'",
    "no-releases": "is a release or two, '0.8.0–0.10.2', not '{value}'; tools/verify_rules.py writes it",
    # changes
    "change-not-a-map": "a change is a map of {legal}",
    "flag-form": "a flag is written as --max-model-len: two hyphens, lower case, no '_'",
    "flag-false": "'false' is no value of a flag; write null to remove it, or '--no-…: true'",
    "flag-empty": "has no value; true is a bare flag, null removes it",
    "flag-list": "is a list of texts: the flag repeated",
    "variable-form": "is not the name of an environment variable",
    "variable-value": "is a text, or null to unset it",
    "pip-not-a-list": "is a list of requirements: ['transformers>=4.49']",
    "requirement-form": "is a requirement without blanks, such as 'transformers>=4.49'",
    "no-patch": "is one of {legal}{near}",
    "not-one-line": "is a text of one line; quote it if it begins with '{{' or '['",
    "entries-not-a-map": "is a map of {what}",
}

_FLOW = "a value between { } or [ ] that contains ',', ': ', brackets or quotes must itself be quoted"
_INDENT = "check the indentation and the quotes; a quote inside single quotes is written twice"
#: What PyYAML says, and what the writer most likely did.
_YAML_CAUSES = (
    ("mapping values are not allowed", "quote this value, it contains ': '"),
    ("found character '\\t'", "indent with blanks, not with tabs"),
    ("found a tab character", "indent with blanks, not with tabs"),
    (
        "found character that cannot start any token",
        "quote this value: it begins with a character that YAML keeps for itself",
    ),
    ("found unknown escape character", "in double quotes a backslash is an escape; put patterns into single quotes"),
    ("did not find expected ',' or", _FLOW),
    ("expected ',' or", _FLOW),
    ("found unexpected end of stream", "a quote or a bracket is never closed"),
    ("did not find expected key", _INDENT),
    ("expected <block end>", _INDENT),
    ("could not find expected ':'", "a key has no ': ' behind it, or a text is not indented"),
    ("found undefined alias", "quote this value: '*' at the beginning refers to an anchor"),
    (
        "did not find expected alphabetic or numeric character",
        "quote this value: '*' or '&' at the beginning means an anchor",
    ),
)
_YAML_UNKNOWN = "quote values with ': ', ' #', or a special first character"


class Mistake(NamedTuple):
    """One thing that is wrong.

    What (a name of `PROBLEMS`, with its values), where, and which word was most likely meant.

    `path` is "" as long as whoever found it knows only a part of the file.
    """

    line: int
    field: str
    name: str
    values: Mapping[str, object] = NOTHING
    near: str = ""
    path: str = ""

    @property
    def problem(self) -> str:
        near = f"; did you mean '{self.near}'?" if self.near else ""
        return PROBLEMS[self.name].format(**self.values, near=near)

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: {self.field}: {self.problem}" if self.field else f"{where}: {self.problem}"


class RuleError(Exception):
    """Rules that cannot be used. `mistakes` are all that were found, not only the first."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


def nearest(word: object, known: Iterable[str]) -> str:
    """The known word that this one was most likely meant to be, "" if none is near."""
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7) if isinstance(word, str) else []
    return near[0] if near else ""


def yaml_cause(said: str) -> str:
    """What the writer of a file most likely did, by what PyYAML says."""
    return next((cause for sign, cause in _YAML_CAUSES if sign in said), _YAML_UNKNOWN)


def listed(words: Iterable[str]) -> str:
    """Words as an enumeration; sets are sorted."""
    return ", ".join(sorted(words) if isinstance(words, (set, frozenset)) else words)


def short(text: str, limit: int = 60) -> str:
    """A value as far as it fits into a message."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
