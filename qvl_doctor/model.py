"""The values that travel between the rooms: frozen, without behaviour beyond small look-ups.

Records come from `logs`, rules from `rulebook`, findings from `diagnose`, and `report` prints a `Diagnosis`. Nothing
here reads or prints. They are named tuples because importing `dataclasses` costs more than diagnosing a log, and their
annotations are not strings (`from __future__ import annotations`) because a named tuple compiles each of those.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from qvl_doctor.values import as_count, as_number, as_text

SEVERITIES = ("fatal", "degraded", "notice")
LANGUAGES = ("en", "zh")
NOTHING: Mapping[str, Any] = MappingProxyType({})
#: The rule id of the finding for a failure that no rule knows.
UNRECOGNIZED = "unrecognized-failure"
#: The phases of a start in the order in which vLLM goes through them.
PHASES = ("config", "load", "profile", "kv-cache", "graph-capture", "serving", "shutdown")
#: The platforms that are known by their tools, images and devices (knowledge/platforms.json).
PLATFORMS = ("cuda", "rocm", "ascend", "xpu", "gaudi", "tpu", "neuron", "cpu")

#: A text in every language of the interface: {"en": …, "zh": …}.
Text = Mapping[str, str]


class Frame(NamedTuple):
    """One `File "…", line N, in function` of a traceback."""

    file: str
    line: int
    function: str


class Line(NamedTuple):
    """A physical line as evidence: its 1-based number in the input and its text, cleaned and redacted."""

    number: int
    text: str


class Observation(NamedTuple):
    """What was seen outside a log.

    The key of its sentence in `observations/sentences.py`, and the values that are known.

    `theirs`: the sentence carries the words of others, and the rules on logs judge it.
    """

    key: str
    values: Mapping[str, str] = NOTHING
    theirs: bool = False


class Record(NamedTuple):
    """One event of a log: a log call, an uncaught traceback, or a line of something else.

    `message` is the text without any prefix; for a traceback it is what the exception says. Its white space is
    collapsed, so that a message reads the same however it was broken into lines. `unwrapped` is the same with nothing
    instead of the line breaks: a terminal breaks words anywhere. It is empty where it would not differ.
    """

    lines: tuple[Line, ...]
    message: str
    unwrapped: str = ""
    level: str = ""
    process: str = ""
    role: str = ""
    file: str = ""
    file_line: int = 0
    clock: float | None = None
    exception: str = ""
    frames: tuple[Frame, ...] = ()
    chained: bool = False
    cut: bool = False
    #: The pod or container that wrote it, where the lines of several are in one input.
    origin: str = ""
    #: Set where this is not a record of a log.
    observation: Observation | None = None

    @property
    def first_line(self) -> int:
        return self.lines[0].number

    @property
    def last_line(self) -> int:
        return self.lines[-1].number


class Fact(NamedTuple):
    """One thing that is known, where it came from ("log", "pip", "option"), and on which line."""

    value: Any
    source: str = "log"
    line: int = 0


#: Facts by name. Names carry their unit: `weights_gib`, `kv_tokens`, `init_s`.
Facts = Mapping[str, Fact]


def fact_text(facts: Facts, name: str) -> str:
    """A fact's value as rules and texts show it, "" if nothing is known of it."""
    return as_text(facts[name].value) if name in facts else ""


def fact_number(facts: Facts, name: str) -> float | None:
    """A fact's value as a number; None if nothing is known of it, or if it is none (see `as_number`)."""
    return as_number(facts[name].value) if name in facts else None


def fact_count(facts: Facts, name: str) -> int:
    """A fact's value as a number of things; 0 if nothing is known of it, or if it is none (see `as_count`)."""
    return as_count(facts[name].value) if name in facts else 0


def fact_map(facts: Facts, name: str) -> Mapping[str, Any]:
    """A fact's value if it is a map, such as `args`; an empty one if it is none."""
    value = facts[name].value if name in facts else NOTHING
    return value if isinstance(value, Mapping) else NOTHING


class Seen(NamedTuple):
    """What a check of a command, a manifest or a machine gave.

    Facts, and observations of what there may be several of.
    """

    facts: Facts = NOTHING
    observations: tuple[Record, ...] = ()

    def __or__(self, other: "Seen") -> "Seen":
        return Seen({**self.facts, **other.facts}, (*self.observations, *other.observations))


class Condition(NamedTuple):
    """One item of a rule's `match`: what is set must all hold for one record ("and").

    Patterns are sources of regular expressions. `literals` are lower-case strings of which every matching text
    contains each (so a text without them need not be searched).
    """

    message: str = ""
    exception: str = ""
    frame: str = ""
    level: str = ""
    facts: Mapping[str, str] = NOTHING
    literals: tuple[str, ...] = ()
    #: The key of what was seen outside a log, and what is asked of its values.
    observation: str = ""
    values: Mapping[str, str] = NOTHING

    @property
    def weight(self) -> int:
        """How much is asked: a key is as much as a message and its level."""
        asked = sum(map(bool, (self.message, self.exception, self.frame, self.level)))
        return asked + 2 * bool(self.observation) + len(self.values) + len(self.facts)


class FixTemplate(NamedTuple):
    """A fix as the rule states it; placeholders are not filled in."""

    text: Text
    remedy: str = ""
    change: Mapping[str, Any] = NOTHING
    applies: Mapping[str, str] = NOTHING
    #: The platforms that it is right on; all, if it names none.
    platforms: tuple[str, ...] = ()


class Example(NamedTuple):
    """A log excerpt in a rule, with what it must (or must not) lead to.

    `observation` is the key of what was seen outside a log, with its `values`; `command` is a command to launch. Both
    are next to the log or alone.
    """

    name: str
    log: str = ""
    facts: Mapping[str, Any] = NOTHING
    captures: Mapping[str, str] | None = None
    fixes: tuple[str, ...] | None = None
    observation: str = ""
    values: Mapping[str, str] = NOTHING
    command: str = ""


class Rule(NamedTuple):
    """One failure: how it looks, why it happens, what to change. See docs/rules-format.md."""

    id: str
    severity: str
    title: Text
    why: Text
    match: tuple[Condition, ...]
    fixes: tuple[FixTemplate, ...]
    references: tuple[str, ...] = ()
    applies: Mapping[str, str] = NOTHING
    #: The platforms that the failure exists on; all, if it names none.
    platforms: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    confidence: str = "certain"
    symptom: bool = False
    #: It is about the GPU's memory: the memory model may say what the request was for, and which change fits.
    memory: bool = False
    remedy: str = ""
    matches: tuple[Example, ...] = ()
    silent: tuple[Example, ...] = ()
    #: For those who keep the rules: ranges of releases whose sources have the text (tools/verify_rules.py writes them),
    #: and what was read.
    seen_in: tuple[str, ...] = ()
    checked: str = ""
    #: The line of the checklist that it spoils when it speaks on a machine: "gpu.cards".
    check: str = ""
    #: The name of its topic, which is that of its directory; "" for a rule outside of topics.
    topic: str = ""
    #: Title, why, fixes and references of a compiled rule; most rules of a book never speak. `rulebook.complete` puts
    #: them in their place.
    packed: str = ""
    source: str = ""


class Topic(NamedTuple):
    """What a group of rules is about. `name` is that of their directory."""

    name: str
    title: Text


class Hit(NamedTuple):
    """A rule spoke on a record. `captures` are the named groups of its pattern."""

    rule: Rule
    condition: Condition
    record: Record | None
    captures: Mapping[str, str]
    evidence: tuple[Line, ...]
    phase: str = ""
    unverified: bool = False
    #: Found where nothing but its words speaks for it.
    loose: bool = False
    #: It was found so often: of very many only some are kept.
    times: int = 1
    #: How bad it is as yet, while a log is followed.
    severity: str = ""


class Fix(NamedTuple):
    """A fix with its numbers filled in. `verified` says who checked that it will hold, and how."""

    text: Text
    change: Mapping[str, Any] = NOTHING
    verified: Mapping[str, str] | None = None


class Lead(NamedTuple):
    """Where to look where no rule knows the failure: never worded as the cause, and what would decide it.

    `ground` is what it rests on: words (the error's own), frame (of the traceback) or pair (of packages). `settings`
    are those that it names, as they are written: flags, environment variables, a requirement for pip.
    """

    text: Text
    ground: str
    settings: tuple[str, ...] = ()


class Finding(NamedTuple):
    """What a report says about one rule: once per run, however often its text appeared (`times`)."""

    rule: str
    role: str
    severity: str
    confidence: str
    title: Text
    why: Text
    evidence: tuple[Line, ...] = ()
    fixes: tuple[Fix, ...] = ()
    references: tuple[str, ...] = ()
    process: str = ""
    times: int = 1
    memory: bool = False
    check: str = ""
    #: Only of what no rule knows.
    leads: tuple[Lead, ...] = ()


class Alternative(NamedTuple):
    """Another way to make it fit.

    What it gives up, what it changes, and what it leaves (tokens of the KV cache, length, concurrency).
    """

    text: Text
    change: Mapping[str, Any]
    leaves: Mapping[str, Any]
    verified: Mapping[str, str] | None = None


class Commands(NamedTuple):
    """The start command as it was, and with the first cause's first fix applied, as shell text. Secrets are masked.

    `lines` is what they differ in: (same, removed or added, text), one for each flag.
    """

    before: str
    after: str
    lines: tuple[tuple[str, str], ...] = ()


class Phase(NamedTuple):
    """One step of the start and how long it took, where the log says so."""

    phase: str
    seconds: float


class Run(NamedTuple):
    """One start in a log."""

    first_line: int
    last_line: int
    verdict: str
    cause: str = ""
    #: The pod or container, where an input holds the logs of several.
    origin: str = ""


class Check(NamedTuple):
    """One line of a checklist. `status` is ok, warning, problem or unknown; `rules` are those that spoke about it."""

    group: str
    name: str
    status: str
    detail: Text
    rules: tuple[str, ...] = ()


#: The kind of what was looked at before anything ran: a command, a manifest, a machine.
EXAMINED = "examined"


class Shown(NamedTuple):
    """What an input shows apart from its findings, as far as verdict and summary depend on it (`diagnose.verdict`).

    `kind` is log, examined (a command, a manifest, a machine: nothing ran), pod, or live. `up`: the server proved that
    it serves; `stopped`: someone asked it to stop; `ready`: the cluster says so of the pod. `phase` is the last one
    that was seen, `stalled_s` the seconds without progress at the end. `reason` says why there is no certainty, where
    the input alone does not. `ignored` are the findings that --ignore left out: they happened anyway.
    """

    kind: str = "log"
    up: bool = False
    stopped: bool = False
    ready: bool = False
    phase: str = ""
    stalled_s: float = 0.0
    reason: Text | None = None
    ignored: tuple[Finding, ...] = ()
    #: The pod or container that this is about, where an input holds the logs of several.
    origin: str = ""
    #: A program around LLM(…) came to its end: no one stopped a server.
    worked: bool = False
    #: No one asked what `reason` leaves open: no GPU was named.
    unasked: bool = False


class Diagnosis(NamedTuple):
    """The answer to one input. The findings, facts and timeline are those of the last run.

    `diagnose.verdict` alone decides verdict and summary, from the findings and `shown`.
    """

    source: str
    verdict: str = "unknown"
    summary: Text = NOTHING
    facts: Facts = NOTHING
    findings: tuple[Finding, ...] = ()
    runs: tuple[Run, ...] = ()
    timeline: tuple[Phase, ...] = ()
    not_checked: tuple[Text, ...] = ()
    command: Commands | None = None
    alternatives: tuple[Alternative, ...] = ()
    patch: str = ""
    #: What the patch differs in from the input: (place, same, removed or added, text).
    changes: tuple[tuple[str, str], ...] = ()
    checks: tuple[Check, ...] = ()
    shown: Shown = Shown()

    @property
    def kind(self) -> str:
        """log, examined, pod, or live."""
        return self.shown.kind

    @property
    def ignored(self) -> tuple[str, ...]:
        """The rule of each finding that --ignore left out."""
        return tuple(finding.rule for finding in self.shown.ignored)
