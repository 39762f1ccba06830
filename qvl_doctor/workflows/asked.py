"""What a user says in words: the GPU, the model's folder, the release, the command.

Each mistake is told with what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from qvl_doctor.errors import InputError, UsageError
from qvl_doctor.knowledge.releases import parse
from qvl_doctor.late import late_pattern
from qvl_doctor.launch.command import Command, LaunchError
from qvl_doctor.launch.reading import read
from qvl_doctor.memory import gpus
from qvl_doctor.memory.checkpoint import read_checkpoint
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.tensors import CheckpointError
from qvl_doctor.messages import both
from qvl_doctor.model import Text
from qvl_doctor.redaction.text import redact_text
from qvl_doctor.sizing.case import Known

_SIZE = late_pattern(r"(\d{1,6}(?:\.\d{1,4})?)\s*(GiB|GB|G|MiB|MB|M)?", re.IGNORECASE)
#: The longest text in which a command is looked for, in bytes.
LONGEST = 1 << 20


def known_of(gpu: str = "", gpu_memory: str = "", model_dir: str = "", vllm: str = "") -> Known:
    """The GPU by its name, its memory as torch sees it ("23.65GiB"), the model's folder, the release.

    Raises UsageError.
    """
    if vllm and parse(vllm) is None:
        raise UsageError("error_plan.release", release=vllm)
    card = _gpu(gpu, gpu_memory)
    if not model_dir:
        return Known(gpu=card, release=vllm)
    try:
        found = read_checkpoint(model_dir)
    except CheckpointError as error:
        raise UsageError("error.said", said=str(error)) from None
    return Known(found.shape, found.quantization, card, vllm, found.tensors)


def commands_of(source: str | Sequence[str], vllm: str = "", path: str = "-") -> tuple[Command, ...]:
    """The vLLM commands of a text, or of the words of one; raises UsageError that says where it breaks.

    The text may be a shell script, a manifest, a compose file, or a line of a log. `path` names it in the error.
    """
    try:
        return tuple(read(source if isinstance(source, str) else _text_or_words(source), vllm))
    except LaunchError as error:
        raise UsageError("error_plan.command", path=path, said=_unreadable(error)) from None


def no_manifest(error: LaunchError, text: str, path: str) -> InputError:
    """Why a text is not a manifest with vLLM in it."""
    if "{{" in text and error.kind not in {"too-large", "nul-byte"}:
        return InputError("error_manifest.template", path=path)
    return InputError("error_plan.command", path=path, said=_unreadable(error))


def _unreadable(error: LaunchError) -> Text:
    """What is wrong with a text in which no command can be read, and where."""
    place = f" ({error.place})" if str(error.place) else ""
    # What is quoted may be a secret, and its name is not in it.
    told = "" if error.kind == "unclosed-quote" else error.detail
    shown = redact_text(told).replace("\n", " ").strip()
    detail = f": {shown}" if shown else ""
    why = both(f"error_launch.{error.kind}".replace("-", "_"))
    return {lang: f"{said}{place}{detail}" for lang, said in why.items()}


def _text_or_words(words: Sequence[str]) -> str | list[str]:
    """One word with spaces in it is a command that was quoted as a whole."""
    return words[0] if len(words) == 1 and " " in words[0] else list(words)


def _gpu(name: str, memory: str) -> Gpu | None:
    size = _SIZE.fullmatch(memory.strip())
    gib = float(size[1]) / (1024 if (size[2] or "g")[0].lower() == "m" else 1) if size else 0.0
    if memory and not 1 <= gib <= 4096:
        raise UsageError("error_plan.gpu_memory", size=memory)
    found = gpus.find(name, gib) if name and not gpus.several(name) else None
    if name and (found is None or (gpus.of_instance(name) and not memory)):
        raise _not_one(name)
    if not memory:
        return found
    of_size = gpus.of_size(gib)
    if found is None:
        return of_size

    return found._replace(total_bytes=of_size.total_bytes, nominal=False)


def _not_one(name: str) -> UsageError:
    """Why a name is not that of one GPU, and which names are."""
    if gpus.several(name):
        return UsageError("error_plan.several_gpus", name=name)
    if gpus.of_instance(name):
        return UsageError("error_plan.gpu_instance", name=name)
    meant = gpus.meant(name)
    if meant:
        return UsageError("error_plan.ambiguous_gpu", name=name, known=", ".join(card.name for card in meant))
    from difflib import get_close_matches

    names = {_short(card.name): card.name for card in gpus.known()}
    close = get_close_matches(_short(name), names, n=5, cutoff=0.6) or sorted(names)
    return UsageError("error_plan.unknown_gpu", name=name, known=", ".join(names[each] for each in close))


def _short(name: str) -> str:
    """A name without its vendor, to be compared."""
    return name.lower().replace("nvidia ", "").replace("geforce ", "")
