#!/usr/bin/env python3
"""Stages every scene on a real control plane and keeps what kubectl prints below fixtures/kube/.

tests/kube/build.sh && PYTHONPATH=tests python tests/kube/record.py [SCENE...]

What `kubectl qvl-doctor` asked of kubectl in whole looks goes below fixtures/kube/calls/, and kubectl's errors too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from kube.cases import CASES, MISTAKES, stage_case
from kube.kubelet import Kubelet
from kube.programs import programs
from kube.scenes import SCENES, printed
from kube.server import ControlPlane, missing
from kube.stage import Stage

FIXTURES = Path(__file__).resolve().parent.parent.parent / "fixtures/kube"


def main(names: list[str]) -> None:
    """Records the scenes, cases and errors of these names, or all."""
    reason = missing()
    if reason:
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as scratch:
        plane = ControlPlane(Path(scratch))
        try:
            plane.start()
            for name in names or SCENES:
                if name in SCENES:
                    _record(plane, name)
            with Kubelet(plane.certificate, plane.key) as kubelet:
                for name in names or CASES:
                    if name in CASES:
                        _record_case(plane, name, kubelet, Path(scratch))
                if not names or "mistakes" in names:
                    _record_mistakes(plane, Path(scratch))
        finally:
            plane.stop()


def _record(plane: ControlPlane, name: str) -> None:
    stage = Stage(plane, name)
    SCENES[name](stage)
    folder = FIXTURES / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in printed(stage).items():
        (folder / file).write_text(text, encoding="utf-8")
    stage.clear()


def _record_case(plane: ControlPlane, name: str, kubelet: Kubelet, scratch: Path) -> None:
    stage = Stage(plane, f"case-{name}", kubelet.port)
    stage_case(CASES[name], stage, kubelet)
    _record_calls(plane, name, (*CASES[name].words, "-n", stage.namespace), scratch)
    stage.clear()


def _record_mistakes(plane: ControlPlane, scratch: Path) -> None:
    stage = Stage(plane, "case-mistakes")
    SCENES["oom-killed"](stage)
    for name, (words, _) in MISTAKES.items():
        _record_calls(plane, name, (*words, "-n", stage.namespace), scratch)
    stage.clear()


def _record_calls(plane: ControlPlane, name: str, words: tuple[str, ...], scratch: Path) -> None:
    """Runs the plugin, and keeps what it asked of kubectl and was answered."""
    calls = FIXTURES / f"calls/{name}.jsonl"
    calls.parent.mkdir(exist_ok=True)
    calls.unlink(missing_ok=True)
    bin_folder = programs(scratch / f"bin-{name}")
    environment = {
        **os.environ,
        "KUBECONFIG": str(plane.kubeconfig),
        "KUBE_RECORD": str(calls),
        "KUBE_REAL": str(shutil.which("kubectl")),
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
    }
    subprocess.run([bin_folder / "kubectl-qvl_doctor", *words], env=environment, check=False)


if __name__ == "__main__":
    main(sys.argv[1:])
