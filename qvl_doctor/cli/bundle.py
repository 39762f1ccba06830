"""`qvl-doctor bundle`: everything that an issue needs as one archive, and what was packed.

Where an input cannot be opened nothing is written; where it breaks off, what could be read is packed. What the reports
say does not matter here: an archive about a broken server is a good one.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import BinaryIO

from qvl_doctor.bundle.archive import Archive
from qvl_doctor.cli import session
from qvl_doctor.cli.check import look
from qvl_doctor.cli.exit_codes import OK, UNREADABLE
from qvl_doctor.cli.inputs import command_text, rule_book
from qvl_doctor.errors import InputError, UsageError
from qvl_doctor.logs.source import open_input
from qvl_doctor.machine import PROBES
from qvl_doctor.machine.export import Environment
from qvl_doctor.messages import say
from qvl_doctor.workflows import bundle, environment, machine

DEFAULT = "qvl-doctor-bundle.zip"
_SIZE = re.compile(r"(\d{1,9})\s*([KMG])(?:i?B)?", re.IGNORECASE)
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def run(
    *,
    logs: tuple[str, ...] = (),
    output: str = DEFAULT,
    env: str = "",
    command: str = "",
    words: tuple[str, ...] = (),
    python: str = "",
    vllm: str = "",
    model_dir: str = "",
    check: bool = True,
    import_test: bool = True,
    max_log: str = "20MiB",
    force: bool = False,
    quiet: bool = False,
    lang: str = "",
) -> int:
    """Packs and says what was packed; returns the exit code. `words` is the command after `--`."""

    def packed(lang: str) -> int:
        limit = _limit(max_log)
        if words and command:
            raise UsageError("error_plan.two_commands")
        if not check and not (logs or env or command or words):
            raise UsageError("error_bundle.nothing")
        here = {"--python": python, "--model-dir": model_dir, "--no-import-test": not import_test}
        _check_here(here, "--env" if env else "" if check else "--no-check")
        inputs = [path for path in (*logs, env, command) if path]
        if inputs.count("-") > 1:
            raise UsageError("error_env.stdin_twice")
        _check_target(output, inputs, force=force)
        _openable(inputs)

        def seen(asked: machine.Asked) -> Environment:
            return environment.read(env) if env else look(asked, lang, quiet=quiet)

        probes = frozenset(PROBES) - (frozenset() if import_test else {"imports"})
        case = bundle.Case(
            logs=logs,
            command=command_text(words, command),
            command_file=command,
            look=seen if env or check else None,
            env_file=env,
            asked=machine.Asked(python=python, release=vllm, model_dir=model_dir, only=probes),
            import_test=import_test,
            limit=limit,
        )
        rules = rule_book()
        with _target(output, force=force) as file:
            with closing(Archive(file)) as archive:
                done = bundle.pack(
                    archive, case, rules=rules, lang=lang, tell=lambda path: session.hint_at_terminal(path, lang)
                )
            size = file.tell()
        if not quiet:
            (sys.stderr if output == "-" else sys.stdout).write(_told(archive, output, size, done.notes, lang))
        for note in done.broken:
            session.tell(note)
        return UNREADABLE if done.broken else OK

    return session.run(packed, lang)


def _told(archive: Archive, output: str, size: int, notes: Sequence[str], lang: str) -> str:
    """What was packed, for whoever is about to attach it. `size` is the archive's, in bytes."""
    entries = archive.entries
    width = max(len(each.name) for each in entries)
    lines = [say("bundle.written", lang, path=output, size=_shown(size))]
    for each in entries:
        masked = "  " + say("bundle.line_masked", lang, count=each.masked) if each.masked else ""
        lines.append(f"  {each.name:{width}}  {_shown(each.size):>9}{masked}")
    masks = say("bundle.masked", lang, count=sum(each.masked for each in entries))
    return "\n".join([*lines, *notes, masks, say("bundle.not_masked", lang), ""])


# ---- What was asked for


def _limit(max_log: str) -> int:
    size = _SIZE.fullmatch(max_log.strip())
    limit = int(size[1]) * _UNITS[size[2].lower()] if size else 0
    if not 64 << 10 <= limit <= 1 << 30:
        raise UsageError("error_bundle.max_log", size=max_log)
    return limit


def _check_here(here: dict[str, object], skipped: str) -> None:
    """Raises UsageError for an option on the check of this machine, where `skipped` says that there is none."""
    for name, given in here.items():
        if given and skipped:
            raise UsageError("error_bundle.check_option", name=name, other=skipped)


def _check_target(output: str, inputs: Iterable[str], *, force: bool) -> None:
    """Raises UsageError for a target that must not be written."""
    if output == "-":
        if sys.stdout.isatty():
            raise UsageError("error_bundle.terminal")
        return
    if os.path.isdir(output):
        raise UsageError("error_bundle.directory", path=output)
    if not os.path.isfile(output):
        return
    for path in inputs:
        if os.path.exists(path) and os.path.samefile(path, output):
            raise UsageError("error_bundle.input", path=path)
    if not force:
        raise UsageError("error_bundle.exists", path=output)


def _openable(inputs: Iterable[str]) -> None:
    """Raises InputError for an input that is not there: better before a minute of import test than after.

    Pipes are left alone.
    """
    for path in inputs:
        try:
            special = path == "-" or stat.S_ISFIFO(os.stat(path).st_mode) or stat.S_ISCHR(os.stat(path).st_mode)
        except (OSError, ValueError):
            special = False
        if not special:
            with open_input(path):
                pass


@contextmanager
def _target(output: str, *, force: bool) -> Iterator[BinaryIO]:
    """A file to write the archive to. It takes the target's place when it is whole; a pipe gets it whole as well.

    Raises InputError.
    """
    if output == "-" or (os.path.exists(output) and not os.path.isfile(output)):
        with tempfile.TemporaryFile() as held:
            yield held
            held.seek(0)
            if output == "-":
                shutil.copyfileobj(held, sys.stdout.buffer)
                return
            with _writing(output), open(output, "wb") as file:
                shutil.copyfileobj(held, file)
        return
    path = os.path.realpath(output)
    part = f"{path}.{os.getpid()}.part"
    with _writing(output):
        file = open(part, "xb")  # noqa: SIM115 — closed below, before it is renamed
    try:
        with file:
            yield file
        if os.path.exists(path) and not force:  # someone else was quicker
            raise UsageError("error_bundle.exists", path=output)
        with _writing(output):
            os.replace(part, path)
    except OSError as error:
        raise InputError("error.output", path=output, reason=error.strerror or str(error)) from None
    finally:
        if os.path.exists(part):
            os.unlink(part)


@contextmanager
def _writing(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise InputError(
            "error.output", path=path.replace("\0", "?"), reason=getattr(error, "strerror", "") or str(error)
        ) from None


def _shown(size: int) -> str:
    if size < 1 << 10:
        return f"{size} B"
    return f"{size / (1 << 10):.0f} KiB" if size < 1 << 20 else f"{size / (1 << 20):.1f} MiB"
