"""How far a start came: the phase of each record, and how long each phase took.

The phases follow each other: config, load, profile, kv-cache, graph-capture, serving, shutdown; "" where nothing has
told yet. A record of a worker belongs to the phase that its own process has reached, because the workers of one
start run apart. A traceback whose frames tell more than that is believed first. `serving` begins when the engine is
ready, though the API server may still have to come up: the fact `ready` tells these apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from qvl_doctor.logs.milestones import READY, Milestone, milestone_of
from qvl_doctor.model import PHASES, Facts, Phase, Record

_PLACE = {phase: place for place, phase in enumerate(("", *PHASES))}

#: Functions of vLLM that run in one phase only. The innermost one counts.
_FRAMES: Mapping[str, str] = {
    "create_engine_config": "config",
    "create_model_config": "config",
    "validate_parsed_serve_args": "config",
    "init_device": "config",  # NCCL, and the check for free memory
    "load_model": "load",
    "load_weights": "load",
    "download_model": "load",
    "initialize_model": "load",
    "determine_num_available_blocks": "profile",  # V0
    "determine_available_memory": "profile",  # V1
    "profile_run": "profile",
    "profile_cudagraph_memory": "profile",
    "raise_if_cache_size_invalid": "kv-cache",  # V0
    "initialize_cache": "kv-cache",
    "get_kv_cache_config": "kv-cache",
    "get_kv_cache_configs": "kv-cache",
    "check_enough_kv_cache_memory": "kv-cache",
    "_check_enough_kv_cache_memory": "kv-cache",
    "initialize_kv_cache": "kv-cache",
    "initialize_kv_cache_tensors": "kv-cache",
    "_allocate_kv_cache_tensors": "kv-cache",
    "_allocate_kv_cache": "kv-cache",
    "_warm_up_model": "graph-capture",  # V0
    "compile_or_warm_up_model": "graph-capture",
    "capture_model": "graph-capture",
    "_capture_cudagraphs": "graph-capture",
    "kernel_warmup": "graph-capture",
}
#: Functions that serve requests and run in no start.
_SERVING = frozenset(
    (
        "create_chat_completion",
        "create_completion",
        "create_embedding",
        "create_pooling",
        "chat_completion_full_generator",
        "chat_completion_stream_generator",
        "run_busy_loop",
        "_process_engine_step",
        "run_engine_loop",
        "engine_step",
        "output_handler",
        "_run_output_handler",
    )
)
#: Functions that serve requests, but V0 profiles and captures through them as well.
_PERHAPS_SERVING = frozenset(("execute_model", "execute_dummy_batch"))
#: What V0 says when a worker fails: the method is one of the functions above.
_METHOD = "while processing method "


def is_beyond(phase: str, other: str) -> bool:
    """Whether a phase comes after another one; "" is before all of them."""
    return _PLACE[phase] > _PLACE[other]


class Progress:
    """How far each process of a start came, and all of them together (`reached`)."""

    def __init__(self) -> None:
        self.reached = ""
        self._own: dict[str, str] = {}

    def feed(self, record: Record, mark: Milestone | None) -> str:
        """The phase of this record. What it says about the progress holds from the next one on."""
        phase = _phase(record, self._so_far(record), mark)
        if mark is not None and mark.then and not record.frames:
            self._advance(record, mark.then)
        return phase

    def _so_far(self, record: Record) -> str:
        return self._own.get(record.process, self.reached) if record.role == "worker" else self.reached

    def _advance(self, record: Record, phase: str) -> None:
        self.reached = max(self.reached, phase, key=_PLACE.__getitem__)
        if record.role == "worker":
            if record.process and len(self._own) < 1024:
                self._own[record.process] = max(self._own.get(record.process, ""), phase, key=_PLACE.__getitem__)
        elif _PLACE[phase] >= _PLACE["kv-cache"]:
            self._own.clear()  # the engine goes on when all of its workers are done


def phase_of(record: Record, so_far: str) -> str:
    """The phase that a record belongs to.

    From telling frames, otherwise from its own words, otherwise the phase reached so far.
    """
    return _phase(record, so_far, milestone_of(record))


def _phase(record: Record, so_far: str, mark: Milestone | None) -> str:
    perhaps = False
    for frame in reversed(record.frames):
        if frame.function in _FRAMES:
            return _FRAMES[frame.function]
        if frame.function in _SERVING:
            return so_far if so_far == "shutdown" else "serving"
        perhaps = perhaps or frame.function in _PERHAPS_SERVING
    if perhaps and not so_far:
        return "serving"
    if _METHOD in record.message:
        method = record.message.partition(_METHOD)[2].partition(" ")[0].strip(":.,")
        return _FRAMES.get(method, so_far)
    return mark.phase or so_far if mark is not None and not record.frames else so_far


class Timeline:
    """How long the phases of one start took.

    A phase lasts, by the clock of the log, from its first mark to the next phase's first mark. Where vLLM states a
    time, that is taken instead: for load (`load_s`), profile (`profile_s`) and graph capture (`graph_capture_s`).
    `init_s` is profile, KV cache and graph capture together, so it is not a phase of its own; it only gives the one of
    the three that vLLM does not state. So no second counts twice, and the sum is about `startup_s`. `serving` is what
    passed between the engine and the API server being ready.
    """

    def __init__(self) -> None:
        self._progress = Progress()
        self._starts: dict[str, float] = {}
        self._captured: float | None = None
        self._clock: float | None = None

    def feed(self, record: Record, mark: Milestone | None) -> str:
        """Takes in one record with its mark and returns its phase."""
        phase = self._progress.feed(record, mark)
        if "ready" in self._starts:
            return phase
        if record.clock is not None:
            self._clock = record.clock
            if not record.frames:
                self._note(record, phase)
        if phase == "serving" and self._clock is not None and mark is not None and mark.kind == READY:
            self._starts["ready"] = self._clock
        return phase

    def phases(self, facts: Facts) -> tuple[Phase, ...]:
        """The phases that came to their end, in their order, with seconds that do not overlap."""
        stated = {phase: facts[name].value for phase, name in _STATED.items() if name in facts}
        seconds = self._clocked(stated.get("graph-capture")) | stated
        if "init_s" in facts:
            unstated = [phase for phase in _INIT if phase in seconds and phase not in stated]
            left = facts["init_s"].value - sum(stated.get(phase, 0.0) for phase in _INIT)
            if len(unstated) == 1 and left > 0:
                seconds[unstated[0]] = left
        return tuple(Phase(phase, round(seconds[phase], 2)) for phase in PHASES if phase in seconds)

    def _note(self, record: Record, phase: str) -> None:
        """The clock at which a phase was first seen; the mark that ends one is the beginning of the next."""
        for begun in (phase, self._progress.reached):
            if begun:
                self._starts.setdefault(begun, record.clock or 0.0)
        if self._captured is None and "Graph capturing finished" in record.message:
            self._captured = record.clock

    def _clocked(self, capture_s: float | None) -> dict[str, float]:
        starts = dict(self._starts)
        if capture_s is not None and self._captured is not None and "graph-capture" in starts:
            # V1 shows only a progress bar, which carries no time, before it says that the capture is done.
            starts["graph-capture"] = min(starts["graph-capture"], self._captured - capture_s)
        order = [phase for phase in (*PHASES[:-1], "ready") if phase in starts]
        lasted = {phase: starts[after] - starts[phase] for phase, after in pairwise(order)}
        return {phase: seconds for phase, seconds in lasted.items() if seconds > 0}


#: Facts that state how long a phase took, and the phases that `init_s` holds.
_STATED = {"load": "load_s", "profile": "profile_s", "graph-capture": "graph_capture_s"}
_INIT = ("profile", "kv-cache", "graph-capture")


def read_timeline(records: Iterable[Record], facts: Facts) -> tuple[Phase, ...]:
    """The phases of one start and how long they took."""
    timeline = Timeline()
    for record in records:
        timeline.feed(record, milestone_of(record))
    return timeline.phases(facts)
