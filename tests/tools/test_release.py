"""Version, changelog, schemas, Python versions and the README agree; what does not is named."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import release

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n- New.\n\n## [0.2.0] - 2026-02-03\n\n- Old.\n\n## [0.1.0] - 2026-01-31\n"


def tree(root: Path, changed: dict[str, str] | None = None) -> release.Reader:
    """The files of this tree, and some as they are given."""
    given = changed or {}
    return lambda path: given[path] if path in given else (root / path).read_text(encoding="utf-8")


def version(text: str) -> str:
    return f'"""x"""\n\n__version__ = "{text}"\n'


def test_this_tree_agrees(root: Path) -> None:
    assert release.problems(tree(root)) == []


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        (release.VERSION, '__version__ = "', '__version__ = "x', "is not a version of three numbers"),
        (release.CHANGELOG, release.UNRELEASED, "## [Soon]", "the first heading is not"),
        (release.CHANGELOG, release.UNRELEASED, f"{release.UNRELEASED}\n\n## [9.9.9] - 2026-01-31", "has 9.9.9, but"),
        (
            release.CHANGELOG,
            release.UNRELEASED,
            f"{release.UNRELEASED}\n\n## [0.0.1]",
            "needs three numbers and a date",
        ),
        (
            release.CHANGELOG,
            release.UNRELEASED,
            f"{release.UNRELEASED}\n\n## [0.0.1] - 2026-01-31\n\n## [0.0.2] - 2026-02-01",
            "the newest release does not come first",
        ),
        (release.CI, '"3.13"]', '"3.12"]', "tests other versions of Python"),
        (release.PROJECT, 'requires-python = ">=3.10"', 'requires-python = ">=3.9"', "another oldest Python"),
        (release.PROJECT, 'target-version = "py310"', 'target-version = "py311"', "another oldest Python"),
        (release.PROJECT, 'python_version = "3.10"', 'python_version = "3.11"', "another oldest Python"),
        ("README.md", "Python 3.10 or later", "Python 3.11 or later", "another oldest Python"),
        (".ci/run", "(>= 3.10)", "(>= 3.11)", "another oldest Python"),
        (".ci/run", "if python3.10 ", "if python3.9 ", "another oldest Python"),
        ("qvl_doctor/report/as_json.py", "qvl-doctor/report/1", "qvl-doctor/report/2", "there is no such file"),
        ("qvl_doctor/machine/export.py", '"qvl-doctor/env/1"', '"env/1"', "names no schema qvl-doctor/env/"),
        ("qvl_doctor/bundle/archive.py", '"qvl-doctor/bundle/1"', '"bundle"', "names no schema qvl-doctor/bundle/"),
        ("qvl_doctor/report/schema-v1.json", "urn:qvl-doctor:report:1", "urn:qvl-doctor:report:2", "does not say"),
        ("qvl_doctor/report/schema-v1.json", '"qvl-doctor/report/1"', '"qvl-doctor/report/2"', "does not say"),
        ("README.md", "report/schema-v1.json", "report/schema.json", "does not lead to"),
        ("README.md", "vLLM 0.6 to 0.", "vLLM 0.6 to 0.9", "the newest release of vLLM"),
    ],
)
def test_what_does_not_agree_is_named(path: str, old: str, new: str, said: str, root: Path) -> None:
    text = (root / path).read_text(encoding="utf-8")
    assert old in text
    (problem,) = release.problems(tree(root, {path: text.replace(old, new)}))
    assert said in problem


def test_a_release_dates_the_changelog_and_leaves_the_next_part_empty(root: Path) -> None:
    read = tree(root, {release.CHANGELOG: CHANGELOG, release.VERSION: version("0.2.0")})
    changed = release.released(read, "0.3.0", "2026-03-01")
    assert changed[release.VERSION] == version("0.3.0")
    assert changed[release.CHANGELOG] == CHANGELOG.replace(
        "## [Unreleased]\n", "## [Unreleased]\n\n## [0.3.0] - 2026-03-01\n"
    )
    after = tree(root, changed)
    assert release.problems(after) == []
    with pytest.raises(ValueError, match="nothing under"):
        release.released(after, "0.4.0", "2026-03-02")


@pytest.mark.parametrize("wrong", ["0.1.9", "0.2.0", "0.3", "v0.3.0", "0.3.0rc1"])
def test_a_version_that_cannot_follow_is_refused(wrong: str, root: Path) -> None:
    read = tree(root, {release.CHANGELOG: CHANGELOG, release.VERSION: version("0.2.0")})
    with pytest.raises(ValueError, match=re.escape(wrong)):
        release.released(read, wrong, "2026-03-01")


def test_the_first_release_keeps_its_version(root: Path) -> None:
    """What was never released has no heading of its own yet."""
    read = tree(root, {release.CHANGELOG: CHANGELOG.partition("## [0.2.0]")[0], release.VERSION: version("0.1.0")})
    assert "## [0.1.0] - 2026-03-01" in release.released(read, "0.1.0", "2026-03-01")[release.CHANGELOG]


def test_the_command_writes_the_files_and_says_what_is_wrong(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {path for path, _ in release._OLDEST} | {*release._SCHEMAS.values()}  # noqa: SLF001
    for path in (release.VERSION, release.CHANGELOG, release.CI, "qvl_doctor/report/schema-v1.json", *paths):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / path, tmp_path / path)
    assert release.main(["--root", str(tmp_path), "77.0.0"]) == 0
    assert '__version__ = "77.0.0"' in (tmp_path / release.VERSION).read_text(encoding="utf-8")
    (tmp_path / release.CI).write_text("", encoding="utf-8")
    assert release.main(["--root", str(tmp_path)]) == 1
    assert "other versions of Python" in capsys.readouterr().out


def test_actions_are_named_by_what_they_are_and_not_by_what_they_are_called(root: Path) -> None:
    """A tag can be moved to other code. The comment says which one it was."""
    used = [
        line.partition("uses:")[2].strip()
        for path in (root / ".github/workflows").glob("*.yml")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "uses:" in line
    ]
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", each)] == []
