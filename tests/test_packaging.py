"""What is built is what runs elsewhere: the wheel carries all that the source tree has, and works without the tree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and with the wheel that was built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, root],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def unpacked(built: Path) -> Path:
    """The wheel's files."""
    folder = built / "unpacked"
    shutil.unpack_archive(next(built.glob("*.whl")), folder, "zip")
    return folder


def run(
    unpacked: Path, *arguments: str | Path, start: tuple[str, str] = ("-m", "qvl_doctor")
) -> subprocess.CompletedProcess[str]:
    """Runs the wheel's qvl-doctor, far from the source tree."""
    return subprocess.run(
        [sys.executable, *start, *arguments],
        cwd=unpacked.parent,
        env=os.environ | {"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_wheel_carries_every_file_of_the_package(root: Path, unpacked: Path) -> None:
    package = {
        path.relative_to(root).as_posix()
        for path in (root / "qvl_doctor").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    shipped = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert package - shipped == set()
    assert {"qvl_doctor/py.typed", "qvl_doctor/report/schema-v1.json", "qvl_doctor/messages.yaml"} <= shipped


def test_wheel_carries_the_rules(root: Path, unpacked: Path) -> None:
    rules, shipped = (
        {path.relative_to(folder): path.read_text(encoding="utf-8") for path in folder.rglob("*.yaml")}
        for folder in (root / "rules", unpacked / "qvl_doctor/rules")
    )
    assert rules
    assert shipped == rules


def test_wheel_carries_nothing_else(unpacked: Path) -> None:
    assert {path.name for path in unpacked.iterdir() if path.suffix != ".dist-info"} == {"qvl_doctor"}


def test_wheel_carries_its_rules_and_sentences_compiled(unpacked: Path) -> None:
    for name in ("rulebook.json", "rulepages.json", "messages.json"):
        assert json.loads((unpacked / "qvl_doctor" / name).read_text(encoding="utf-8"))


def test_wheel_knows_the_rules_of_the_tree(root: Path, unpacked: Path) -> None:
    done = run(unpacked, "rules", "list", "--format", "json")
    assert done.returncode == 0, done.stderr
    files = (root / "rules").rglob("*.yaml")
    assert {rule["id"] for rule in json.loads(done.stdout)} == {path.stem for path in files} - {"topics"}


@pytest.mark.parametrize("command", [("explain", "kv-below-context"), ("rules", "list", "--topic", "lora")])
def test_wheel_explains_as_the_tree_does(command: tuple[str, ...], root: Path, unpacked: Path) -> None:
    wheel, tree = (run(folder, *command) for folder in (unpacked, root))
    assert wheel.stdout == tree.stdout
    assert wheel.stdout


def test_wheel_is_small(built: Path) -> None:
    assert next(built.glob("*.whl")).stat().st_size <= 2_500_000


def test_wheel_diagnoses_as_the_tree_does(root: Path, fixtures: Path, unpacked: Path) -> None:
    logs = sorted(fixtures.glob("*/*.log"))[::5]
    wheel, tree = (run(folder, "logs", "--format", "jsonl", *logs) for folder in (unpacked, root))
    assert wheel.returncode == tree.returncode == 1, wheel.stderr + tree.stderr
    assert len(wheel.stdout.splitlines()) == len(logs)
    assert wheel.stdout == tree.stdout


def test_wheel_needs_no_yaml_to_diagnose(fixtures: Path, unpacked: Path) -> None:
    without_yaml = "import sys; sys.modules['yaml'] = None; from qvl_doctor.cli.main import main; main()"
    done = run(unpacked, "logs", "--format", "json", fixtures / "article/oom-9.03.log", start=("-c", without_yaml))
    assert json.loads(done.stdout)["verdict"] == "failed", done.stderr


def test_sdist_carries_what_the_tests_need(root: Path, built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = {
        path.relative_to(root).as_posix()
        for folder in ("rules", "fixtures", "tests")
        for path in (root / folder).rglob("*.[ylp]*")
    }
    assert {name for name in wanted if "__pycache__" not in name} - names == set()
    assert {"LICENSE", "README.md", "CHANGELOG.md", "hatch_build.py", "pyproject.toml", ".ci/run"} <= names
