"""Records → facts: what a log says about the release, the configuration, the memory and how far the start came.

What the engine says wins over the arguments, and both over what is computed. Nothing is assumed: what no line says is
not a fact.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

from qvl_doctor.facts.platforms import UNSPECIFIED, PlatformReader
from qvl_doctor.facts.platforms import plain as plain_platform
from qvl_doctor.late import late_pattern
from qvl_doctor.logs.fact_lines import LINES, FactLine
from qvl_doctor.logs.fact_values import converted, settings
from qvl_doctor.logs.milestones import ACTIVITY, ANSWER, BOUND, FAULT, READY, Milestone
from qvl_doctor.logs.package_lists import PackageReader
from qvl_doctor.model import NOTHING, Fact, Facts, Record

# Who may overrule whom: a fact is replaced only from above.
_COMPUTED, _PACKAGE, _ARGUMENT, _LOG = range(4)

_MAX_SITES = 200
_BLOCK_SIZES = (8, 16, 32, 64, 128, 256)
_ENGINE_LINE = late_pattern(
    r"(?:Initializing an?|Dumping input data for) (?:(?P<engine>V[01]) )?LLM engine \(v(?P<vllm>[^)\s]{1,80})\)"
)
#: Facts that only the beginning of a start tells.
_STARTS = ("vllm", "args", "platform", "architecture", "max_model_len")
#: Marks of a server that had come up.
_UP = frozenset((READY, ANSWER, ACTIVITY, FAULT))
_ENGINE_OF_FILE = {"core.py": "V1", "llm_engine.py": "V0"}


class FactReader:
    """Collects the facts of one start, record by record."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Fact]] = {}
        # What is still to be found: a wording that was seen and whose first saying is is not looked for again.
        self._wanted = [(gate, list(rows)) for gate, rows in LINES]
        self._packages = PackageReader()
        self._platforms = PlatformReader()
        self._up = False
        self._sites: dict[tuple[str, int], Record] = {}
        self._inferred = (0, "")
        self._configured = False
        self._began: float | None = None
        self._clock: float | None = None

    def feed(self, record: Record, mark: Milestone | None) -> None:
        """Takes in what one record says, and the mark that it carries."""
        if record.clock is not None:
            self._clock = record.clock
            if self._began is None:
                self._began = record.clock
        if mark is not None and mark.kind in _UP:
            self._up = True
            self._set("ready", "yes", record.first_line, _LOG)
            self._became_ready(record.first_line)
        elif mark is not None and mark.kind == BOUND:
            # Until 0.7.2 uvicorn opened the port itself, after it had said that the start was complete.
            self._set("ready", "no", record.first_line, _LOG, "last")
        message = record.message
        if "vllm" not in self._known and len(self._sites) < _MAX_SITES:
            self._sites.setdefault((record.file or record.exception, record.file_line or len(record.message)), record)
        if record.unwrapped:
            # A terminal may have broken a number, or a line that was broken on purpose is glued: what one reading says,
            # the other does not.
            self._read(message, record, read=self._read(record.unwrapped, record))
        else:
            self._read(message, record)
        if not record.file or record.exception:
            for name, fact in self._packages.feed(record):
                self._keep(name, fact, _PACKAGE, "last")
        self._inferred_of(record)

    def facts(self, besides: Facts = NOTHING) -> dict[str, Fact]:
        """What is known so far: what the log states counts most, then what is known from elsewhere."""
        known = {**besides, **self.stated}
        for name, fact in self._platforms.facts(known).items():
            if name not in known or (name == "platform" and name in self._known and not self._on_platform):
                known[name] = fact
        for name, fact in self._computed(known).items():
            known.setdefault(name, fact)
        return known

    @property
    def stated(self) -> dict[str, Fact]:
        """What the log itself states."""
        return {name: fact for name, (_, fact) in self._known.items()}

    @property
    def inferred(self) -> str:
        """The release that call sites and wordings fit, or a range of them.

        "" if the log names one or nothing tells.
        """
        if "vllm" in self._known:
            return ""
        if self._inferred[0] != len(self._sites):
            from qvl_doctor.logs.releases import infer_release

            self._inferred = (len(self._sites), infer_release(self._sites.values()) or "")
        return self._inferred[1]

    def _inferred_of(self, record: Record) -> None:
        """Looks for what a record shows without saying it."""
        if record.frames and "engine" not in self._known:
            self._engine_of_frames(record)
        if not self._up and not self._on_platform:
            self._platforms.feed(record)

    @property
    def _on_platform(self) -> bool:
        """Whether the log states its platform."""
        return "platform" in self._known and self._known["platform"][1].value != UNSPECIFIED

    def _read(self, text: str, record: Record, read: Collection[FactLine] = ()) -> list[FactLine]:
        """Takes the facts of a text, but for the wordings that were read already; which ones it holds."""
        found: list[FactLine] = []
        done = False
        for gate, rows in self._wanted:
            if gate in text:
                for row in tuple(rows):
                    if row.literal in text and row not in read and self._apply(row, text, record):
                        found.append(row)
                        if row.keep == "first":
                            rows.remove(row)
                            done = done or not rows
        if done:
            self._wanted = [(gate, rows) for gate, rows in self._wanted if rows]
        if "LLM engine (v" in text:
            self._engine_line(text, record)
        if "args: " in text and "args" not in self._known:
            self._arguments(text, record)
        return found

    def _apply(self, row: FactLine, text: str, record: Record) -> bool:
        """Takes the facts of a wording from a text that may hold it; whether it does."""
        found: Mapping[str, Any] = {}
        if row.pattern:
            match = _compiled(row.pattern).search(text)
            if match is None:
                return False
            found = match.groupdict()
        line = _line_of(row.literal, record)
        for name, value in row.says.items():
            self._set(name, value, line, _LOG, "last" if row.keep == "last" else "first")
        for name, shown in found.items():
            if shown:
                self._set(name, converted(name, shown), line, _LOG, row.keep)
        return True

    def _set(self, name: str, value: Any, line: int, rank: int, keep: str = "first") -> None:
        self._keep(name, Fact(value, "log", line), rank, keep)

    def _keep(self, name: str, fact: Fact, rank: int, keep: str) -> None:
        if fact.value is None:
            return
        held = self._known.get(name)
        if held is None or rank > held[0] or (rank == held[0] and _replaces(fact.value, held[1].value, keep)):
            self._known[name] = (rank, fact)

    def _engine_line(self, text: str, record: Record) -> None:
        found = _ENGINE_LINE.search(text)
        if found is None:
            return
        line = _line_of("LLM engine (v", record)
        self._set("vllm", found["vllm"], line, _LOG)
        self._set("engine", found["engine"] or _ENGINE_OF_FILE.get(record.file), line, _LOG)
        if not self._configured and "with config:" in text:
            from qvl_doctor.logs.arguments import parse_engine_config

            self._configured = True
            self._settings(parse_engine_config(text), line, _LOG)

    def _arguments(self, text: str, record: Record) -> None:
        if "args: Namespace(" not in text and "args: {" not in text:
            return
        from qvl_doctor.logs.arguments import parse_arguments

        values = parse_arguments(text)
        if not values:
            return
        line = _line_of("args: ", record)
        self._set("args", values, line, _LOG)
        if values.get("model_tag"):
            values = {**values, "model": values.get("model") or values["model_tag"]}
        self._settings(values, line, _ARGUMENT)
        if values.get("api_key"):
            self._set("api_key", "yes", line, _ARGUMENT)

    def _settings(self, values: Mapping[str, Any], line: int, rank: int) -> None:
        for name, value in settings(values, chosen=rank == _LOG):
            self._set(name, value, line, rank)
        if "speculative_config" in values or values.get("speculative_model"):
            value = values.get("speculative_config") or values.get("speculative_model")
            method = (
                value.get("method") or value.get("model") or value.get("draft_model")
                if isinstance(value, dict)
                else value
            )
            self._set("speculative", str(method) if method else "none" if rank == _LOG else None, line, rank)
        if values.get("device_config") in ("cpu", "tpu", "xpu", "hpu", "neuron"):  # ROCm says cuda here
            self._set("platform", plain_platform(values["device_config"]), line, _COMPUTED)

    def _became_ready(self, line: int) -> None:
        """The time that the start took, if the log shows its beginning."""
        started = any(name in self._known for name in _STARTS)
        if started and self._began is not None and self._clock is not None and self._clock >= self._began:
            self._set("startup_s", self._clock - self._began, line, _COMPUTED)

    def _engine_of_frames(self, record: Record) -> None:
        paths = [frame.file for frame in record.frames]
        if any("/vllm/v1/" in path for path in paths):
            self._set("engine", "V1", record.first_line, _COMPUTED)
        elif any("/vllm/engine/multiprocessing/" in path or "/vllm/worker/" in path for path in paths):
            self._set("engine", "V0", record.first_line, _COMPUTED)

    def _computed(self, known: Mapping[str, Fact]) -> dict[str, Fact]:
        """What follows from the facts without any assumption."""
        computed: dict[str, Fact] = {}
        if "vllm" not in known:
            inferred = self.inferred
            if inferred:
                computed["vllm_range" if inferred[0] in "<>" else "vllm"] = Fact(inferred, "inferred")
        if "ready" not in known and any(name in self._known for name in _STARTS):
            computed["ready"] = Fact("no", "computed")
        if "engine" not in known:
            engine = _engine({**known, **computed}, self._sites.values())
            if engine:
                computed["engine"] = Fact(engine, "inferred")
        return computed | _kv_in_tokens(known)


def _engine(known: Mapping[str, Fact], sites: Iterable[Record]) -> str | None:
    """V0 or V1 where only one of them can be: before V1 came, after V0 went, and each has files of its own."""
    from qvl_doctor.knowledge.defaults import V0_WENT, V1_CAME
    from qvl_doctor.knowledge.releases import plain
    from qvl_doctor.versions import satisfies

    if "vllm" in known:
        if satisfies(str(known["vllm"].value), f"<{plain(V1_CAME)}"):
            return "V0"
        if satisfies(str(known["vllm"].value), f">={plain(V0_WENT)}"):
            return "V1"
    for record in sites:
        if record.process.startswith("EngineCore"):
            return "V1"
        if record.process.startswith("VllmWorkerProcess") or record.file in ("multiproc_worker_utils.py", "engine.py"):
            return "V0"
    return None


def _kv_in_tokens(known: Mapping[str, Fact]) -> dict[str, Fact]:
    """The tokens of a V0 log, which prints blocks.

    The concurrency at a known length leaves only one block size, and blocks × block size are the tokens.
    """
    computed: dict[str, Fact] = {}
    blocks = known.get("kv_blocks")
    size = known.get("block_size")
    if blocks and not size and "concurrency" in known and "concurrency_tokens" in known:
        length, shown = known["concurrency_tokens"].value, known["concurrency"].value
        fitting = [size for size in _BLOCK_SIZES if length and abs(blocks.value * size / length - shown) <= 0.0051]
        if len(fitting) == 1:
            size = computed["block_size"] = Fact(fitting[0], "computed", blocks.line)
    if blocks and size and "kv_tokens" not in known:
        computed["kv_tokens"] = Fact(blocks.value * size.value, "computed", blocks.line)
    return computed


def _replaces(value: Any, held: Any, keep: str) -> bool:
    """Whether a value that is said again takes the place of the one that is held."""
    if keep == "first" or type(value) is not type(held):
        return False
    return keep == "last" or bool(value < held if keep == "min" else value > held)


def _line_of(literal: str, record: Record) -> int:
    """The line of the record that holds the literal; a wrapped one counts as the first."""
    if len(record.lines) > 1:
        for number, text in record.lines:
            if literal in text:
                return number
    return record.first_line


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
