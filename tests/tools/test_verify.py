"""The rules are held against the texts of all releases: here made-up rules and a made-up catalogue."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import catalogue
import fetch_sdist
import marks
import pytest
import seen
import verify_rules
from catalogue import Catalogue, Row
from rule_files import OTHER, write
from vllm_source import version_key

from qvl_doctor import rulebook
from qvl_doctor.knowledge import newest_vllm

released = verify_rules.released
RELEASES = ("0.8.0", "0.8.5", "0.9.0", "0.10.0", "0.11.0")
LENGTH = "The length {} is more than the {} tokens of the model"


def row(text: str, *releases: str, kinds: Iterable[str] = ("ValueError",)) -> Row:
    return Row(text, "vllm/config.py", tuple(kinds), frozenset(releases or RELEASES))


def rule(*items: str, extra: str = "", name: str = "length-too-large") -> str:
    """A rule file with these match items."""
    text = OTHER.replace("id: engine-failed", f"id: {name}").replace("symptom: yes\n", extra)
    return text.replace("  - message: Engine core initialization failed\n", "".join(f"  - {item}\n" for item in items))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    return tmp_path / "rules"


def check(folder: Path, *rows: Row, others: str = "") -> list[str]:
    """What is wrong with the rules of a folder."""
    rules = rulebook.load(str(folder))
    known = Catalogue(RELEASES, rows)
    order = verify_rules.order_of(rules, RELEASES)
    path = folder.parent / "other_texts.txt"
    path.write_text(others, encoding="utf-8")
    return list(verify_rules.problems(rules, seen.items_of(rules, known), known, verify_rules.other_texts(path), order))


ITEM = r"message: 'The length (?P<asked>\d+) is more than the (?P<limit>\d+) tokens of the model'"


def test_a_rule_that_says_where_its_text_is(folder: Path) -> None:
    write(folder, rule(ITEM, extra="seen_in: [0.8.5–0.9.0, 0.11.0]\n"), "length-too-large")
    assert check(folder, row(LENGTH, "0.8.5", "0.9.0", "0.11.0"), row("Something else is wrong here")) == []


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("", ["does not name 0.8.5–0.9.0, and its text is there ("]),
        ("seen_in: [0.8.0–0.9.0]\n", ["names 0.8.0, and its text is not there ("]),
        ("seen_in: [0.9.0–]\n", ["names 0.10.0–0.11.0, and its text is not", "does not name 0.8.5, and its text is"]),
        ("seen_in: [0.8.5–0.9.0]\n", []),
        ("seen_in: [0.7.0, 0.8.5–0.9.0]\n", []),  # of a release that was not read nothing is said
    ],
)
def test_releases_that_are_not_right(extra: str, said: list[str], folder: Path) -> None:
    write(folder, rule(ITEM, extra=extra), "length-too-large")
    found = check(folder, row(LENGTH, "0.8.5", "0.9.0"))
    assert len(found) == len(said)
    for problem, words in zip(found, said, strict=True):
        assert problem.startswith(f"length-too-large: seen_in {words}")


def test_a_text_that_no_release_has(folder: Path) -> None:
    """The rule claims vLLM's own text; without the claim it is somebody else's."""
    write(folder, rule(ITEM, extra="seen_in: [0.8.5–0.9.0]\n"), "length-too-large")
    (problem,) = check(folder, row("The length {} is fine"))
    assert "seen_in names 0.8.5–0.9.0, and its text is not there" in problem
    write(folder, rule(ITEM), "length-too-large")
    assert check(folder, row("The length {} is fine")) == []


def test_only_releases_count_for_which_the_rule_is_meant(folder: Path) -> None:
    write(folder, rule(ITEM, extra="applies: {vllm: '>=0.9,<0.11'}\nseen_in: [0.9.0–0.10.0]\n"), "length-too-large")
    assert check(folder, row(LENGTH)) == []


def test_a_match_item_that_is_meant_for_other_releases_than_those_with_its_text(folder: Path) -> None:
    items = (ITEM, f"{{{ITEM}, facts: {{vllm: '<0.8.5'}}}}")
    write(folder, rule(*items, extra="seen_in: [0.10.0–0.11.0]\n"), "length-too-large")
    (problem,) = check(folder, row(LENGTH, "0.10.0", "0.11.0"))
    assert (
        problem == "length-too-large: match[1] is meant for releases that do not have its text; it is in 0.10.0–0.11.0"
    )


REWORDED = "The length {} is more than all the {} tokens that the model has"


def test_a_text_that_a_newer_release_reworded(folder: Path) -> None:
    write(folder, rule(ITEM, extra="seen_in: [0.8.0–0.9.0]\n"), "length-too-large")
    rows = (row(LENGTH, "0.8.0", "0.8.5", "0.9.0"), row(REWORDED, "0.10.0", "0.11.0"))
    (problem,) = check(folder, *rows)
    assert problem == (
        f"length-too-large: the text {LENGTH!r} (0.8.0–0.9.0) reads like {REWORDED!r} (0.10.0–0.11.0) in vllm/config.py, "
        "and no rule matches that"
    )
    assert check(folder, *rows, others=f"# Looked at.\nlength-too-large: {REWORDED}\n") == []
    assert check(folder, *rows, others=f"another-rule: {REWORDED}\n") == [problem]


def test_a_reworded_text_that_a_rule_matches(folder: Path) -> None:
    other = r"message: 'more than all the (?P<limit>\d+) tokens that the model has'"
    write(folder, rule(ITEM, extra="seen_in: [0.8.0–0.9.0]\n"), "length-too-large")
    write(folder, rule(other, extra="seen_in: [0.10.0–0.11.0]\n", name="length-too-large-now"), "length-too-large-now")
    assert check(folder, row(LENGTH, "0.8.0", "0.8.5", "0.9.0"), row(REWORDED, "0.10.0", "0.11.0")) == []


@pytest.mark.parametrize(
    "later",
    [
        row("The width {} is less than one", "0.10.0"),  # not alike
        row(REWORDED, "0.8.0", "0.8.5", "0.9.0", "0.10.0"),  # was there before
    ],
)
def test_a_text_that_is_gone_and_not_reworded(later: Row, folder: Path) -> None:
    write(folder, rule(ITEM, extra="seen_in: [0.8.0–0.9.0]\n"), "length-too-large")
    assert check(folder, row(LENGTH, "0.8.0", "0.8.5", "0.9.0"), later) == []


def test_a_rule_that_ends_with_a_release_need_not_know_what_came_after(folder: Path) -> None:
    write(folder, rule(ITEM, extra="applies: {vllm: '<0.10'}\nseen_in: [0.8.0–0.9.0]\n"), "length-too-large")
    assert check(folder, row(LENGTH, "0.8.0", "0.8.5", "0.9.0"), row(REWORDED, "0.10.0", "0.11.0")) == []


@pytest.mark.parametrize(
    ("condition", "kinds", "seen_there"),
    [
        ("exception: ValueError", ("ValueError",), True),
        ("exception: ValueError", ("text",), True),
        ("exception: ValueError", ("RuntimeError",), False),
        ("exception: ValueError", ("log:error",), False),
        (r"exception: 'vllm\.exceptions\.OwnError'", ("OwnError",), True),
        ("level: ERROR", ("log:exception",), True),
        ("level: ERROR|WARNING", ("log:info", "log:warning"), True),
        ("level: ERROR", ("log:info",), False),
        ("level: ERROR", ("ValueError",), True),
    ],
)
def test_what_the_source_says_a_text_is_for(
    condition: str, kinds: tuple[str, ...], seen_there: bool, folder: Path
) -> None:
    write(folder, rule(f"{{{ITEM}, {condition}}}"), "length-too-large")
    rules = rulebook.load(str(folder))
    known = Catalogue(RELEASES, (row(LENGTH, "0.9.0", kinds=kinds),))
    assert seen.seen_in(seen.items_of(rules, known)) == {"length-too-large": {"0.9.0"} if seen_there else frozenset()}


def test_argparse_names_the_argument_before_the_text_of_a_type(folder: Path) -> None:
    write(folder, rule("message: 'argument --limit-mm-per-prompt: Each item should be KEY=VALUE'"), "length-too-large")
    rules = rulebook.load(str(folder))
    known = Catalogue(RELEASES, (row("Each item should be KEY=VALUE", "0.8.0", kinds=["ArgumentTypeError"]),))
    assert seen.seen_in(seen.items_of(rules, known)) == {"length-too-large": {"0.8.0"}}


# Filling


def arguments(folder: Path, *rows: Row) -> list[str]:
    """The options for made-up releases, whose texts lie in the cache."""
    cache = folder.parent / "cache"
    cache.mkdir(exist_ok=True)
    for release in RELEASES:
        messages = [(row.text, kind, 1) for row in rows for kind in row.kinds if release in row.releases]
        path = cache / f"vllm-{release}-{catalogue.miner()}.json"
        path.write_text(json.dumps({"vllm/config.py": messages}), encoding="utf-8")
    return ["--rules", str(folder), "--cache", str(cache), "--other-texts", str(folder / "none")]


@pytest.fixture(autouse=True)
def _releases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_rules, "released", lambda: RELEASES)
    monkeypatch.setattr(marks, "marks", list)


def fill(folder: Path, *rows: Row, release: str = "all") -> None:
    options = [*arguments(folder, *rows), "--release", release]
    assert verify_rules.main(["fill", *options]) == 0
    assert verify_rules.main(["check", *options]) == 0


def test_filling_writes_one_line_and_nothing_else(folder: Path) -> None:
    before = rule(ITEM).replace("fixes:", "# a comment   with blanks\n\nfixes:  # another")
    path = write(folder, before, "length-too-large")
    fill(folder, row(LENGTH, "0.8.0", "0.9.0"))
    line = "seen_in: [0.8.0, 0.9.0]\n"
    assert path.read_text(encoding="utf-8") == before.replace("references:", f"{line}references:")
    fill(folder, row(LENGTH, "0.8.0", "0.8.5"))
    assert path.read_text(encoding="utf-8") == before.replace("references:", "seen_in: [0.8.0–0.8.5]\nreferences:")
    fill(folder, row("Something else is wrong here"))
    assert path.read_text(encoding="utf-8") == before


def test_what_the_newest_release_has_too_has_an_open_end(folder: Path) -> None:
    path = write(folder, rule(ITEM), "length-too-large")
    fill(folder, row(LENGTH, "0.8.0", "0.10.0", "0.11.0"))
    assert "seen_in: [0.8.0, 0.10.0–]\n" in path.read_text(encoding="utf-8")


def test_filling_for_one_release_leaves_the_others_alone(folder: Path) -> None:
    path = write(folder, rule(ITEM, extra="seen_in: [0.8.0–]\n"), "length-too-large")
    fill(folder, row(LENGTH, "0.10.0"), release="0.11.0")
    assert "seen_in: [0.8.0–0.10.0]\n" in path.read_text(encoding="utf-8")
    fill(folder, row(LENGTH), release="0.11.0")
    assert "seen_in: [0.8.0–]\n" in path.read_text(encoding="utf-8")
    fill(folder, row(LENGTH, "0.8.0"), release="0.9.0")
    assert "seen_in: [0.8.0, 0.10.0–]\n" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("asked", "read"),
    [
        ([], ("0.10.0", "0.11.0")),
        (["0.11.0"], ("0.10.0", "0.11.0")),
        (["0.8.5", "0.11.0"], ("0.8.0", "0.8.5", "0.10.0", "0.11.0")),
        (["0.8.0"], ("0.8.0",)),
        (["0.12.0"], ("0.11.0", "0.12.0")),
        (["all"], RELEASES),
    ],
)
def test_a_release_is_read_with_the_one_before_it(asked: list[str], read: tuple[str, ...]) -> None:
    assert verify_rules.wanted(asked, RELEASES) == read


def test_ranges_are_written_and_read_back() -> None:
    for some in ({"0.8.0"}, {"0.8.0", "0.8.5"}, {"0.8.0", "0.9.0", "0.10.0"}, {"0.11.0"}, set(RELEASES), set()):
        for newest in ("", RELEASES[-1]):
            written = catalogue.ranges(some, RELEASES, newest)
            assert catalogue.expanded(written, RELEASES) == some
    assert catalogue.ranges(set(RELEASES), RELEASES) == ("0.8.0–0.11.0",)
    assert catalogue.ranges(set(RELEASES), RELEASES, "0.11.0") == ("0.8.0–",)


@pytest.mark.parametrize(
    "old",
    [
        "seen_in: [0.8.0]\n",
        "seen_in:\n  - 0.8.0\n  - 0.9.0\n",
        "seen_in:\n- 0.8.0\n",
        "seen_in: [\n  0.8.0,\n  0.9.0]\n",
    ],
)
@pytest.mark.parametrize("behind", ["", "\n", "# a comment\n"])
def test_what_was_written_before_is_replaced_where_it_stands(old: str, behind: str) -> None:
    text = f"id: x\n{old}{behind}title: {{}}\nreferences: []\n"
    assert (
        verify_rules.with_seen_in(text, ["0.9.0"]) == f"id: x\nseen_in: [0.9.0]\n{behind}title: {{}}\nreferences: []\n"
    )
    assert verify_rules.with_seen_in(text, []) == f"id: x\n{behind}title: {{}}\nreferences: []\n"


def test_many_ranges_are_written_one_a_line() -> None:
    many = [f"0.{number}.0–0.{number}.5" for number in range(12)]
    written = verify_rules.with_seen_in("references: []\n", many)
    assert written == "seen_in:\n" + "".join(f"  - {each}\n" for each in many) + "references: []\n"


def test_the_key_in_an_example_is_not_the_rules() -> None:
    text = "tests:\n  log: |\n    seen_in: [0.8.0]\nreferences: []\n"
    assert verify_rules.with_seen_in(text, ["0.9.0"]) == text.replace("references", "seen_in: [0.9.0]\nreferences")


def test_line_ends_of_windows_stay(folder: Path) -> None:
    path = write(folder, rule(ITEM), "length-too-large")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    fill(folder, row(LENGTH, "0.8.0"))
    assert b"seen_in: [0.8.0]\r\nreferences" in path.read_bytes()
    assert path.read_bytes().count(b"\n") == path.read_bytes().count(b"\r\n")


# The command line


def test_the_command_says_what_is_wrong_and_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = arguments(folder, row(LENGTH))
    write(folder, rule(ITEM), "length-too-large")
    assert verify_rules.main(options) == 1
    assert "1 mistakes" in capsys.readouterr().out
    assert verify_rules.main(["show", "length-too-large", r"is more than the \d+ tokens of", *options]) == 0
    assert capsys.readouterr().out.count(LENGTH) == 2
    assert verify_rules.main(["foreign", *options]) == 0
    assert capsys.readouterr().out == ""
    write(folder, "id: broken", "broken")
    assert verify_rules.main(options) == 1
    assert "broken.yaml" in capsys.readouterr().err


def test_sources_that_cannot_be_had(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_sdist, "pip_settings", lambda: {"index-url": (folder / "nothing").as_uri()})
    write(folder, rule(ITEM), "length-too-large")
    options = [*arguments(folder, row(LENGTH)), "--release", "0.99.0"]
    assert verify_rules.main(options) == verify_rules.UNREACHABLE
    said = capsys.readouterr()
    assert (said.out, "vllm 0.99.0 cannot be fetched" in said.err) == ("", True)


def test_texts_are_mined_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = folder / "vllm-0.9.0" / "vllm" / "core.py"
    core.parent.mkdir(parents=True)
    core.write_text('raise ValueError(f"The length {n} is too large")\n', encoding="utf-8")
    found = catalogue.of_releases(["0.9.0"], folder / "cache", folder)
    assert [(row.text, row.file, row.kinds) for row in found.rows] == [
        ("The length {} is too large", "vllm/core.py", ("ValueError",))
    ]
    core.unlink()
    assert catalogue.of_releases(["0.9.0"], folder / "cache", folder) == found
    monkeypatch.setattr(catalogue, "miner", lambda: "another")
    assert catalogue.of_releases(["0.9.0"], folder / "cache", folder).rows == ()


def test_marks_are_held_against_the_newest_release_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "marks", lambda: [marks.Mark("a table", "words that are gone", current=True)])
    write(folder, rule(ITEM, extra="seen_in: [0.8.0–]\n"), "length-too-large")
    options = arguments(folder, row(LENGTH))
    assert verify_rules.main(options) == 1
    assert verify_rules.main([*options, "--release", "0.9.0"]) == 0


def test_the_releases_whose_sources_were_published() -> None:
    known = released()
    assert list(known) == sorted(known, key=version_key)
    assert known[-1] == newest_vllm()
    assert {"0.6.3", "0.6.3.post1", "0.14.1"} <= set(known)
    assert "0.15.0" not in known
