"""What a program can print is read from its source, and kept with the releases that have it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import catalogue
import pytest
from catalogue import Catalogue
from mine_messages import Message, messages, messages_of
from vllm_source import version_key


def found(source: str) -> list[tuple[str, str]]:
    return [(message.kind, message.text) for message in messages(dedent(source))]


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        ('logger.info("Loading %d of %.2f GiB", a, b)', "log:info", "Loading {} of {} GiB"),
        ('self.logger.warning_once("No kernel for {}.".format(x))', "log:warning", "No kernel for {}."),
        ('logger.warn("Old name here")', "log:warning", "Old name here"),
        ('raise ValueError(f"max_len ({n}) is above {m!r:>8}")', "ValueError", "max_len ({}) is above {}"),
        ('raise exceptions.EngineDeadError("Engine loop is dead") from e', "EngineDeadError", "Engine loop is dead"),
        ('assert x > 0, f"{x} is below zero"', "AssertionError", "{} is below zero"),
        ('raise ValueError("Too much: %s of 100%%" % used)', "ValueError", "Too much: {} of 100%"),
        ('msg = ("The first half "\n       f"and the {second} half")', "text", "The first half and the {} half"),
        ('raise ValueError("Only " + names + " are supported")', "ValueError", "Only {} are supported"),
        ('raise ValueError("Is " + ("too big" if big else "too small"))', "ValueError", "Is too small"),
        ('fail("""\n  Over several\n  lines of text\n""")', "text", "Over several lines of text"),
        ('raise ValueError(f"{a}{b} take no {c}{d}.")', "ValueError", "{} take no {}."),
        ("raise ValueError(f\"{'GPU'} memory is full\")", "ValueError", "GPU memory is full"),
        ('print("Serving on port {port}")', "text", "Serving on port {}"),
        ('logger.info("Using %s now", f"the {name} backend of choice")', "log:info", "the {} backend of choice"),
    ],
)
def test_a_message(source: str, kind: str, text: str) -> None:
    assert (kind, text) in found(source)


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring with many words."""',
        'def f():\n    "A docstring with many words."',
        'parser.add_argument("--x", help="What this flag is good for")',
        'if text == "a text that is compared":\n    pass',
        'x = "one"',
        'name = "two words"',
        'raise ValueError("{}")',
        f'x = "{"word " * 400}"',
        'x = "with a \\x01 in it and words"',
    ],
)
def test_what_is_no_message(source: str) -> None:
    assert found(source) == []


def test_a_text_in_a_variable_is_part_of_what_it_is_put_into() -> None:
    texts = found("""
        def check(self):
            use = f"{need} GiB of the {total} GiB are taken."
            if need > total:
                raise ValueError("Too large. " + use)
            logger.warning(f"Rather large. {use} Careful.")
    """)
    assert ("ValueError", "Too large. {} GiB of the {} GiB are taken.") in texts
    assert ("log:warning", "Rather large. {} GiB of the {} GiB are taken. Careful.") in texts


def test_a_text_that_grows_is_read_whole_and_in_pieces() -> None:
    texts = [
        text
        for _, text in found("""
        async def refuse(feature):
            msg = f"{feature} is not supported here."
            if fallback:
                msg += " Falling back to V0."
            raise NotImplementedError(msg)
    """)
    ]
    assert "{} is not supported here." in texts
    assert "{} is not supported here. Falling back to V0." in texts


@pytest.mark.parametrize("source", ["def f(:", "x = (" * 500, "\0", "if 1:\n" * 3, "x = " + "-" * 100_000 + "1"])
def test_what_is_no_python_has_no_messages(source: str) -> None:
    assert messages(source) == []


def test_a_tree_is_read_without_its_tests_and_without_running_it(tmp_path: Path) -> None:
    for name, text in {
        "vllm/engine/core.py": 'raise RuntimeError("this is only read")',
        "vllm/tests/test_core.py": 'raise RuntimeError("this is a test")',
        "setup.py": 'raise RuntimeError("this is no part of it")',
        "vllm/broken.py": "\xff",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("latin-1"))
    assert messages_of(tmp_path) == {"vllm/engine/core.py": [Message("this is only read", "RuntimeError", 1)]}


def release(**files: str) -> dict[str, list[Message]]:
    return {f"vllm/{name}.py": [Message(text, "ValueError", 1)] for name, text in files.items()}


def test_a_catalogue_is_written_and_read_back(tmp_path: Path) -> None:
    known = Catalogue((), ())
    for number, texts in {
        "0.9.0": release(a="came back", b="is gone", c="moves about"),
        "0.10.0": release(b="is gone", c="moves about"),
        "0.10.1": release(a="came back", d="moves about"),
        "0.8.5.post1": release(a="came back"),
    }.items():
        known = catalogue.with_release(known, number, texts)
    path = tmp_path / "messages.txt"
    catalogue.write(known, path)
    assert path.read_text(encoding="utf-8").splitlines() == [
        "releases: 0.8.5.post1 0.9.0 0.10.0 0.10.1",
        "vllm/a.py",
        "\t0.8.5.post1-0.9.0,0.10.1-\tValueError\tcame back",
        "vllm/b.py",
        "\t0.9.0-0.10.0\tValueError\tis gone",
        "vllm/d.py",
        "\t0.9.0-\tValueError\tmoves about",
    ]
    again = catalogue.read(path)
    assert (again.releases, set(again.rows)) == (known.releases, set(known.rows))
    shown = {row.text: catalogue.ranges(row.releases, known.releases) for row in again.rows}
    assert shown == {
        "came back": ("0.8.5.post1–0.9.0", "0.10.1"),
        "is gone": ("0.9.0–0.10.0",),
        "moves about": ("0.9.0–0.10.1",),
    }


def test_a_release_that_is_read_again_replaces_its_first_reading() -> None:
    known = catalogue.with_release(Catalogue((), ()), "0.9.0", release(a="one text", b="other text"))
    known = catalogue.with_release(known, "0.9.0", release(b="one text"))
    assert known == Catalogue(
        ("0.9.0",), (catalogue.Row("one text", "vllm/b.py", ("ValueError",), frozenset({"0.9.0"})),)
    )


def test_an_older_release_does_not_say_where_a_text_stands_now() -> None:
    known = catalogue.with_release(Catalogue((), ()), "0.9.0", release(now="one text"))
    known = catalogue.with_release(known, "0.8.0", release(then="one text"))
    assert [(row.file, sorted(row.releases)) for row in known.rows] == [("vllm/now.py", ["0.8.0", "0.9.0"])]


def test_several_places_that_print_a_text_are_one_row() -> None:
    texts = {
        "vllm/b.py": [Message("the same text", "ValueError", 1)],
        "vllm/a.py": [Message("the same text", "log:info", 1)],
    }
    row = catalogue.with_release(Catalogue((), ()), "0.9.0", texts).rows[0]
    assert (row.file, row.kinds) == ("vllm/a.py", ("ValueError", "log:info"))


def test_a_file_that_is_no_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "messages.txt"
    path.write_text("something else\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no catalogue of messages"):
        catalogue.read(path)


def test_the_shipped_catalogue_is_small_and_whole() -> None:
    assert catalogue.DEFAULT.stat().st_size < 2_500_000
    known = catalogue.read()
    assert len(known.releases) > 60
    assert list(known.releases) == sorted(known.releases, key=version_key)
    text = "No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine."
    row = next(row for row in known.rows if row.text == text)
    assert "0.8.5" in row.releases
    assert row.kinds == ("ValueError",)
