"""What a program can print is read from its source, and kept with the releases that have it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import catalogue
import pytest
from catalogue import Catalogue
from mine_messages import Message, messages, messages_of


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


def test_a_text_that_a_variable_is_added_to_is_read_whole() -> None:
    texts = found("""
        def refuse(self):
            msg = "The adapter cannot be used: "
            msg = msg + f"its rank is {rank}, " + "and that is too large."
            raise ValueError(msg)
    """)
    assert ("text", "The adapter cannot be used: its rank is {}, and that is too large.") in texts


@pytest.mark.parametrize(
    "begins", ["problems = []", "problems: list[str] = []", 'problems = ["The adapter is refused."]']
)
def test_a_text_that_is_joined_out_of_a_list_is_read_whole_and_in_pieces(begins: str) -> None:
    texts = found(f"""
        def refuse(self):
            {begins}
            if rank > largest:
                problems.append(f"The rank {{rank}} is too large.")
            if bias:
                problems.append("A bias is not supported.")
            if problems:
                raise ValueError(f"{{' '.join(problems)}}")
    """)
    whole = "The rank {} is too large. A bias is not supported."
    assert ("ValueError", "The adapter is refused. " + whole if "refused" in begins else whole) in texts
    assert ("text", "The rank {} is too large.") in texts


@pytest.mark.parametrize(
    "source", ['" ".join(names)', 'names = []\n" ".join(names)', "names.append(x)", '"".join(a.b)']
)
def test_what_is_joined_and_not_known_is_no_message(source: str) -> None:
    assert found(f"def f():\n    {source.replace(chr(10), chr(10) + '    ')}") == []


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


def test_a_catalogue_says_which_releases_have_a_text() -> None:
    known = Catalogue((), ())
    for number, texts in {
        "0.9.0": release(a="came back", b="is gone", c="moves about"),
        "0.10.0": release(b="is gone", c="moves about"),
        "0.10.1": release(a="came back", d="moves about"),
        "0.8.5.post1": release(a="came back"),
    }.items():
        known = catalogue.with_release(known, number, texts)
    shown = {row.text: (row.file, catalogue.ranges(row.releases, known.releases)) for row in known.rows}
    assert shown == {
        "came back": ("vllm/a.py", ("0.8.5.post1–0.9.0", "0.10.1")),
        "is gone": ("vllm/b.py", ("0.9.0–0.10.0",)),
        "moves about": ("vllm/d.py", ("0.9.0–0.10.1",)),
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
