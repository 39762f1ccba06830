"""A log: read as it comes, diagnosed together with whatever else is known of what ran, and advised on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from qvl_doctor import rulebook
from qvl_doctor.diagnose.streams import Streams
from qvl_doctor.diagnose.verdict import without
from qvl_doctor.errors import InputError, UsageError
from qvl_doctor.logs.gate import refusal
from qvl_doctor.logs.records import LogReader
from qvl_doctor.logs.source import open_input, read_chunks
from qvl_doctor.messages import both
from qvl_doctor.model import NOTHING, Diagnosis, Facts, Rule, Seen, Text, fact_number, fact_text
from qvl_doctor.workflows.advice import advised

if TYPE_CHECKING:
    from qvl_doctor.launch.command import Command
    from qvl_doctor.machine.export import Environment
    from qvl_doctor.sizing.case import Known
    from qvl_doctor.workflows.following import Following


class Beside(NamedTuple):
    """What is known besides a log. What the log itself says counts more.

    `command` is what was started, `known` the GPU and the model, `release` the one of vLLM; `env` was seen of the
    machine, and was in the file `env_file`. `packages` are facts of a package list.
    """

    command: Command | None = None
    known: Known | None = None
    release: str = ""
    env: Environment | None = None
    env_file: str = ""
    packages: Facts = NOTHING


def diagnose(
    path: str,
    beside: Beside = Beside(),  # noqa: B008 — frozen
    *,
    rules: Sequence[Rule] = (),
    ignore: Collection[str] = (),
    redacting: bool = True,
    follow: Following | None = None,
    tap: Callable[[bytes], None] | None = None,
) -> Diagnosis:
    """The diagnosis of a file; `-` is standard input. `rules` are the shipped ones where none are given.

    `follow` waits for more at its end, as it says. `tap` gets the bytes as they come. Raises InputError for what cannot
    be read, or is not a vLLM log.
    """
    engine = Streams(rules or rulebook.shipped(packed=True), beside.packages, live=follow is not None)
    damage = read(path, engine, redacting=redacting, follow=follow, tap=tap)
    found = judged(engine, path, beside, ignore)
    return found._replace(not_checked=(*found.not_checked, both(damage.key, **damage.values))) if damage else found


def diagnose_text(
    text: str,
    beside: Beside = Beside(),  # noqa: B008 — frozen
    *,
    source: str = "-",
    rules: Sequence[Rule] = (),
    ignore: Collection[str] = (),
) -> Diagnosis:
    """The diagnosis of a text that is all there. Raises InputError for what is not a vLLM log."""
    engine = Streams(rules or rulebook.shipped(packed=True), beside.packages)
    reader = feed([text.encode("utf-8", "replace")], engine)
    refused = refusal(reader.beginning, silent=engine.silent, empty=engine.empty)
    if refused is not None:
        raise InputError(refused.key, path=source, program=refused.program)
    return judged(engine, source, beside, ignore)


def read(
    path: str,
    engine: Streams,
    *,
    redacting: bool = True,
    follow: Following | None = None,
    tap: Callable[[bytes], None] | None = None,
) -> InputError | None:
    """Feeds a file to the engine. Returns what ended the reading early, where enough was read to say something.

    Raises InputError otherwise. `follow` and `tap` are as in `diagnose`.
    """
    reader = LogReader(redacting=redacting, live=follow is not None)
    damage = None
    try:
        if follow:
            from qvl_doctor.workflows import following

            following.feed(path, reader, engine, follow)
        else:
            with open_input(path) as stream:
                for chunk in read_chunks(stream, path):
                    if tap:
                        tap(chunk)
                    engine.feed(reader.feed(chunk))
    except InputError as error:
        damage = error
    engine.feed(reader.flush())
    refused = refusal(reader.beginning, silent=engine.silent, empty=engine.empty)
    if refused is not None:
        raise damage or InputError(refused.key, path=path, program=refused.program)
    return damage


def feed(chunks: Iterable[bytes], engine: Streams, *, redacting: bool = True) -> LogReader:
    """Feeds a log that is all there to the engine. Returns what read it."""
    reader = LogReader(redacting=redacting)
    for chunk in chunks:
        engine.feed(reader.feed(chunk))
    engine.feed(reader.flush())
    return reader


def judged(
    engine: Streams,
    source: str,
    beside: Beside = Beside(),  # noqa: B008 — frozen
    ignore: Collection[str] = (),
) -> Diagnosis:
    """The diagnosis of a log that was read, with what is known besides it."""
    notes: tuple[Text, ...] = ()
    if beside.env is not None:
        from qvl_doctor.workflows.environment import beside as of_machine

        seen, notes = of_machine(beside.env, engine.facts, beside.env_file)
        engine.see(seen)
    if beside.command is not None:
        from qvl_doctor.launch.observing import observe_command, observe_difference

        release = fact_text(engine.facts, "vllm") or beside.release
        differs = Seen(observations=tuple(observe_difference(beside.command, engine.facts, release)))
        engine.see(observe_command(beside.command, release) | differs)
    found = without(engine.finish(source), ignore)
    found = found._replace(not_checked=(*found.not_checked, *notes))
    return advised(found, beside.known, beside.command, pasted=engine.pasted)


def startup_s(path: str, rules: Sequence[Rule] = ()) -> float:
    """Seconds that the start in a log took. Raises InputError, and UsageError for a log that shows none."""
    engine = Streams(rules or rulebook.shipped(packed=True))
    with open_input(path) as stream:
        feed(read_chunks(stream, path), engine)
    seconds = fact_number(engine.finish(path).facts, "startup_s")
    if seconds is None:
        raise UsageError("error_manifest.no_start", path=path)
    return seconds
