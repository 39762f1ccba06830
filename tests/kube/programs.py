"""A folder for PATH: the plugin under the name by which kubectl finds it, and the stand-in for kubectl."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent.parent
_PLUGIN = "import sys; sys.path.insert(0, {root!r}); from qvl_doctor.cli.kubectl_plugin import main; main()"


def programs(folder: Path, *, stand_in: bool = True) -> Path:
    """Makes the folder and returns it."""
    folder.mkdir(parents=True)
    _write(folder / "kubectl-qvl_doctor", [sys.executable, "-c", _PLUGIN.format(root=str(_ROOT))])
    if stand_in:
        _write(folder / "kubectl", [sys.executable, "-S", str(Path(__file__).with_name("standin.py"))])
    return folder


def _write(path: Path, words: list[str]) -> None:
    path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    path.chmod(0o755)
