"""The change with the least loss that makes a start fit, and other ways that give up something else.

A choice is one rung of each lever (`levers`). Its loss is compared by level, the dearest level first: two GPUs are
worse than any shortening of the context, that is worse than whatever no one misses. The search goes down the levels:
with all cheaper levers at their last rung it finds the least that a level must give, then turns to the next cheaper
one. What it returns was checked by `budget.plan`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

from qvl_doctor.knowledge.releases import Release
from qvl_doctor.memory.budget import Observed, Plan, plan
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.levers import AIR, FREE, OFFLOAD, Flags, Lever, Rung, joined, least_length, length_rung, levers
from qvl_doctor.memory.settings import SERVER, Settings, resolve
from qvl_doctor.memory.shape import ModelShape

#: A length is a multiple of this.
_STEP = 256
#: Levers that trade different things: each is tried with nothing but what is free or nearly free next to it.
TRADES = ("length", "pixels", "kv_dtype", "gpus", "checkpoint")
_FORCED = frozenset(("pixels", "kv_dtype"))
_ALWAYS = frozenset(("video", "sequences", "utilization", "batch"))

#: A rung of each lever, 0 for none.
Choice = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """A start on a GPU: what is to fit.

    `given` are the settings that the command makes (as for `settings.resolve`, which fills in the rest). `observed` are
    numbers of a log of this start, `logged` its settings if they are not these.
    """

    shape: ModelShape
    gpu: Gpu
    release: Release
    given: Mapping[str, Any] = field(default_factory=dict)
    observed: Observed | None = None
    logged: Settings | None = None
    context: str = SERVER

    @cached_property
    def settings(self) -> Settings:
        """The settings of the command, every default filled in."""
        return self.settings_with({})

    def settings_with(self, change: Mapping[str, Any]) -> Settings:
        """The same after a change of what is given."""
        return resolve(self.shape, self.gpu, self.release, self.context, **joined(self.given, change))

    def levers(self) -> tuple[Lever, ...]:
        """What can be changed."""
        return levers(self.shape, self.settings, self.gpu, self.observed)

    def plan(self, settings: Settings | None = None) -> Plan:
        """The budget with other settings, or with its own."""
        return plan(self.shape, settings or self.settings, self.gpu, self.observed, self.logged or self.settings)


class Step(NamedTuple):
    """One change of a solution: which lever, and to what ("" where there is only one way)."""

    lever: str
    value: str
    level: int


class Solution(NamedTuple):
    """A way to fit: the changes (none if it fits as it is), the flags that make them, and the plan that shows it."""

    steps: tuple[Step, ...]
    flags: Flags
    settings: Settings
    plan: Plan

    @property
    def level(self) -> int:
        """The dearest level that it uses, 0 if it changes nothing."""
        return max((step.level for step in self.steps), default=0)


def lacks(case: Case, settings: Settings, made: Plan | None = None) -> str:
    """What a start with these settings lacks, the model's error band included; "" if it will do.

    - room: it does not fit; margin: it does, but by less than the model may be off;
    - item: the largest image or video is longer than a prompt; reserve: images were left out of the profile run;
    - air: what the GPU keeps free is too little for the work of a request and, where they are not in the budget, for
      the CUDA graphs.
    """
    made = made or case.plan(settings)
    if not made.fits:
        return "room"
    if made.kv - made.error < made.request:
        return "margin"
    if "largest-item-longer-than-prompt" in made.notes:
        return "item"
    if "dummies-dropped" in made.notes:
        return "reserve"
    air = 0 if made.graphs_inside or settings.eager else AIR
    return "" if made.spare >= made.activation + air else "air"


def holds(case: Case, settings: Settings, made: Plan | None = None) -> bool:
    """Whether a start with these settings will do."""
    return not lacks(case, settings, made)


def solve(case: Case, locked: Iterable[str] = ()) -> Solution | None:
    """The way with the least loss; None if nothing helps. `locked` levers stay as they are."""
    kept = frozenset(locked)
    search = _Search(case, tuple(lever for lever in case.levers() if lever.name not in kept))
    choice = search.best()
    return None if choice is None else search.solution(choice)


def alternatives(case: Case, best: Solution | None = None) -> tuple[tuple[str, Solution], ...]:
    """Ways that trade one thing each, by the lever that they pull.

    Those that come to the same as `best` or an earlier one are left out.
    """
    found: list[tuple[str, Solution]] = []
    seen = {best.steps} if best else set()
    pulled = {lever.name: lever for lever in case.levers()}
    for trade in TRADES:
        other = _trading(case, pulled[trade], frozenset(pulled), best) if trade in pulled else None
        if other and other.steps not in seen:
            found.append((trade, other))
            seen.add(other.steps)
    return tuple(found)


def _trading(case: Case, lever: Lever, names: frozenset[str], best: Solution | None) -> Solution | None:
    """A way that pulls this lever.

    With what is free next to it, otherwise with a shorter context, if that is longer than in `best`.
    """
    other = solve(case, names - _ALWAYS - {lever.name})
    if other and any(step.lever == lever.name for step in other.steps):
        return other
    if lever.name not in _FORCED or best is None or not best.steps:
        return None
    rung = lever.rungs[-1]
    changed = replace(case, given=joined(case.given, rung.given), logged=case.logged or case.settings)
    other = solve(changed, names - _ALWAYS - {"length"})
    if other is None or other.settings.max_model_len <= best.settings.max_model_len:
        return None
    steps = (*other.steps, Step(lever.name, rung.value, rung.level))
    return Solution(steps, joined(other.flags, rung.flags), other.settings, other.plan)


class _Search:
    """The choices of some levers, and which of them hold. Every choice is looked at once."""

    def __init__(self, case: Case, pulled: Sequence[Lever]) -> None:
        self.case = case
        self.levers = tuple(pulled)
        self._known: dict[Choice, bool] = {}

    def best(self) -> Choice | None:
        """The choice with the least loss that holds."""
        start: Choice = (0,) * len(self.levers)
        if self.holds(start):
            return start
        top = next((level for level in range(FREE, OFFLOAD + 1) if self.holds(self._all_up_to(level))), None)
        if top is None:
            return None
        fixed: dict[int, int] = {}
        for level in range(top, FREE - 1, -1):
            found = self._least(level, fixed)
            if found is None:
                return None
            fixed = found
        return self._without_needless(tuple(fixed.get(index, 0) for index in range(len(self.levers))))

    def _without_needless(self, choice: Choice) -> Choice:
        """The choice without what was needed only next to the last rungs of cheaper levers.

        Rare, where one lever works against another.
        """
        for index in reversed(range(len(choice))):
            for rung in range(choice[index]):
                less = (*choice[:index], rung, *choice[index + 1 :])
                if self.holds(less):
                    return self._without_needless(less)
        return choice

    def solution(self, choice: Choice) -> Solution:
        """A choice as what a reader needs; a context that was cut is as long as it can be."""
        rungs = self._rungs(choice)
        at = next((index for index, lever in enumerate(self.levers) if lever.name == "length" and choice[index]), None)
        if at is not None:
            rungs[at] = length_rung(self._longest(choice, at))
        settings = self.case.settings_with(joined(*(rung.given for rung in rungs.values())))
        steps = tuple(Step(self.levers[index].name, rung.value, rung.level) for index, rung in rungs.items())
        return Solution(steps, joined(*(rung.flags for rung in rungs.values())), settings, self.case.plan(settings))

    def holds(self, choice: Choice) -> bool:
        """Whether a choice holds."""
        if choice not in self._known:
            self._known[choice] = holds(self.case, self.case.settings_with(self._given(choice)))
        return self._known[choice]

    def _given(self, choice: Choice) -> dict[str, Any]:
        """What a choice asks of the settings. A context is never cut below what the images need."""
        given = joined(*(rung.given for rung in self._rungs(choice).values()))
        if "max_model_len" in given:
            least = least_length(self.case.shape, self.case.settings_with(given))
            given["max_model_len"] = min(max(given["max_model_len"], least), self.case.settings.max_model_len)
        return given

    def _longest(self, choice: Choice, at: int) -> int:
        """The longest context from the chosen rung up to below the one before."""
        rungs = self.levers[at].rungs
        given = self._given(choice)
        low = int(given["max_model_len"])
        high = max(low, int(rungs[choice[at] - 2].value) if choice[at] > 1 else self.case.settings.max_model_len)
        while high - low > _STEP:
            middle = (low + high) // 2 // _STEP * _STEP
            if middle <= low:
                break
            if holds(self.case, self.case.settings_with({**given, "max_model_len": middle})):
                low = middle
            else:
                high = middle
        return low

    def _rungs(self, choice: Choice) -> dict[int, Rung]:
        return {index: self.levers[index].rungs[rung - 1] for index, rung in enumerate(choice) if rung}

    def _reach(self, index: int, level: int) -> int:
        """The last rung of a lever that costs no more than a level."""
        return sum(rung.level <= level for rung in self.levers[index].rungs)

    def _all_up_to(self, level: int) -> Choice:
        return tuple(self._reach(index, level) for index in range(len(self.levers)))

    def _least(self, level: int, fixed: dict[int, int]) -> dict[int, int] | None:
        """The least that a level must give after the dearer ones gave `fixed`, with the cheaper ones at their limit."""
        below = self._all_up_to(level - 1)
        spans = []
        for index, lever in enumerate(self.levers):
            first, last = below[index], self._reach(index, level)
            # A lever that has given something dearer already is above this level.
            spans.append(
                [fixed[index]] if fixed.get(index, 0) > last or lever.rungs == () else list(range(first, last + 1))
            )
        for choice in sorted(product(*spans), key=lambda choice: self._cost(choice, level)):
            if self.holds(choice):
                return {index: rung for index, rung in enumerate(choice) if rung > below[index] or fixed.get(index)}
        return None

    def _cost(self, choice: Choice, level: int) -> tuple[int, Choice]:
        """What a choice gives up on a level; of equals the earlier lever is pulled first."""
        given = (
            rung.cost
            for index, at in enumerate(choice)
            for rung in self.levers[index].rungs[:at]
            if rung.level == level
        )
        return sum(given), tuple(reversed(choice))
