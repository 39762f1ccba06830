"""Options that say what an input does not: the card, the model's folder, the command. Each mistake is told with what would be right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from qvl_doctor.cli.logs import UsageError
from qvl_doctor.launch.command import Command, LaunchError
from qvl_doctor.launch.reading import read
from qvl_doctor.logs.source import read_text
from qvl_doctor.memory import gpus
from qvl_doctor.memory.checkpoint import read_checkpoint
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.release_tables import parse
from qvl_doctor.memory.tensors import CheckpointError
from qvl_doctor.messages import say
from qvl_doctor.redaction.text import redact_text
from qvl_doctor.sizing.case import Known

_SIZE = re.compile(r"(\d{1,6}(?:\.\d{1,4})?)\s*(GiB|GB|G|MiB|MB|M)?", re.IGNORECASE)
#: Of a text that cannot be read.
_MOST_SHOWN = 80
_MOST_BYTES = 1 << 20


def known_of(gpu: str, memory: str, model_dir: str, release: str, lang: str) -> Known:
    """What the options say. Raises UsageError."""
    if release and parse(release) is None:
        raise UsageError(say("error_plan.release", lang, release=release))
    card = _card(gpu, memory, lang)
    if not model_dir:
        return Known(gpu=card, release=release)
    try:
        found = read_checkpoint(model_dir)
    except CheckpointError as error:
        raise UsageError(str(error)) from None
    return Known(found.shape, found.quantization, card, release, found.tensors)


def read_command(path: str, release: str, lang: str) -> tuple[Command, ...]:
    """The commands of a file or of standard input. Raises UsageError or InputError."""
    return commands_of(read_text(path, _MOST_BYTES), release, path, lang)


def commands_of(source: str | Sequence[str], release: str, path: str, lang: str) -> tuple[Command, ...]:
    """The commands of a text, or of the words behind `--`. Raises UsageError that says where it breaks."""
    try:
        return tuple(read(source if isinstance(source, str) else _text_or_words(source), release))
    except LaunchError as error:
        raise UsageError(say("error_plan.command", lang, path=path, said=unreadable(error, lang))) from None


def unreadable(error: LaunchError, lang: str) -> str:
    """What is wrong with a text in which no command can be read, and where."""
    place = f" ({error.place})" if str(error.place) else ""
    told = (
        "" if error.kind == "unclosed-quote" else error.detail
    )  # what is quoted may be a secret, and its name is not in it
    shown = redact_text(told[:_MOST_SHOWN]).replace("\n", " ").strip()
    detail = f": {shown}" if shown else ""
    return f"{say(f'error_launch.{error.kind}'.replace('-', '_'), lang)}{place}{detail}"


def _text_or_words(words: Sequence[str]) -> str | list[str]:
    """One word with blanks in it is a command that was quoted as a whole."""
    return words[0] if len(words) == 1 and " " in words[0] else list(words)


def _card(name: str, memory: str, lang: str) -> Gpu | None:
    found = gpus.find(name) if name else None
    if name and found is None:
        names = [card.name for card in gpus.known()]
        near = get_close_matches(name, names, n=5, cutoff=0.3) or sorted(names)
        raise UsageError(say("error_plan.unknown_gpu", lang, name=name, known=", ".join(near)))
    if not memory:
        return found
    size = _SIZE.fullmatch(memory.strip())
    gib = float(size[1]) / (1024 if (size[2] or "g")[0].lower() == "m" else 1) if size else 0.0
    if not 1 <= gib <= 4096:
        raise UsageError(say("error_plan.gpu_memory", lang, size=memory))
    asked = gpus.of_size(gib)
    if found is None:
        return asked
    from dataclasses import replace

    return replace(found, total_bytes=asked.total_bytes, nominal=False)
