"""What is said of a model's folder, and a model in the hub's cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from checking import unclaimed
from model_samples import arguments, model

from qvl_doctor.machine import model_folder
from qvl_doctor.model import Seen


def said(seen: Seen) -> list[str]:
    assert unclaimed(seen.observations) == []
    return [each.message for each in seen.observations]


def look(folder: Path, command: str = "vllm serve m", **given: Any) -> list[str]:
    return said(
        model_folder.inspect_model_folder(
            str(folder), given.pop("vllm", "0.19.0"), given.pop("transformers", "4.57.1"), arguments(command), **given
        )
    )


def cached(home: Path, name: str, revision: str = "0123abcd0123abcd0123abcd0123abcd0123abcd") -> Path:
    """A model in a hub's cache as huggingface_hub lays it out: blobs, links to them in a snapshot, a reference."""
    store = home / ".cache/huggingface/hub" / ("models--" + name.replace("/", "--"))
    made = model(store / "made")
    snapshot = store / "snapshots" / revision
    for folder in (store / "blobs", snapshot, store / "refs"):
        folder.mkdir(parents=True)
    for number, file in enumerate(sorted(made.iterdir())):
        file.rename(store / "blobs" / f"{number:040x}")
        (snapshot / file.name).symlink_to(f"../../blobs/{number:040x}")
    made.rmdir()
    (store / "refs/main").write_text(revision, encoding="ascii")
    return snapshot
