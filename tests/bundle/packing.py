"""An archive that was packed here, and what is in it."""

from __future__ import annotations

import io
import subprocess
import zipfile
from pathlib import Path

from program import run

from qvl_doctor.logs.source import BUNDLE

OOM = "article/oom-9.03.log"


def bundle(*arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    return run("bundle", *arguments, stdin=stdin, cwd=cwd)


def unpacked(path: Path | io.BytesIO) -> dict[str, str]:
    """Every entry of an archive, by its name in the folder that all of them are in."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert all(name.startswith(BUNDLE) for name in names)
        assert len({name.casefold() for name in names}) == len(names)
        return {name.removeprefix(BUNDLE): archive.read(name).decode("utf-8") for name in names}
