"""What the documents say is so."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from qvl_doctor.machine import PROBES

DOCUMENTS = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "fixtures/SOURCES.md"),
    *(
        "docs/api.md",
        "docs/architecture.md",
        "docs/check.md",
        "docs/follow.md",
        "docs/manifest.md",
        "docs/new-release.md",
        "docs/releasing.md",
        "docs/rules-format.md",
        "docs/terms.md",
    ),
)


def doctor(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "qvl_doctor", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert not done.stderr
    return done.stdout


def test_readme_shows_what_it_prints(root: Path) -> None:
    shown = re.search(
        r"```console\n\$ qvl-doctor (.*)\n([\s\S]*?)```", (root / "README.md").read_text(encoding="utf-8")
    )
    assert shown
    assert shown[2] == doctor(root, *shlex.split(shown[1]))


def test_readme_lists_the_options(root: Path) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    offered = set(re.findall(r"(--[a-z][a-z-]+)", doctor(root, "logs", "--help")))
    assert {option for option in offered if option not in readme} == {"--help"}


def test_the_page_on_check_knows_its_options_and_looks(root: Path) -> None:
    page = (root / "docs/check.md").read_text(encoding="utf-8")
    written = {option for option in re.findall(r"(--[a-z][a-z-]+)", page) if not option.startswith("--tensor-")}
    offered = {
        option
        for name in ("check", "bundle", "logs")
        for option in re.findall(r"(--[a-z][a-z-]+)", doctor(root, name, "--help"))
    }
    assert written <= offered
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(PROBES)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str, root: Path) -> None:
    document = root / name
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_that_are_named_are_there(name: str, root: Path) -> None:
    text = (root / name).read_text(encoding="utf-8")
    named = re.findall(r"`((?:qvl_doctor|rules|tests|tools|docs|benchmarks|fixtures)/[\w./-]+)`", text)
    made_up = ("TOPIC", "NAME", "my-failure")
    assert [path for path in named if not ((root / path).exists() or any(word in path for word in made_up))] == []


def test_every_fixture_has_its_source(root: Path, fixtures: Path) -> None:
    named = set(re.findall(r"^\| (\S+\.log) \|", (fixtures / "SOURCES.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert named == {log.relative_to(fixtures).as_posix() for log in root.glob("fixtures/*/*.log")}
