"""Shell text is split as a shell would, and, where it was mangled on the way, as it was meant."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl_doctor.launch.command import MAX_SIZE, LaunchError
from qvl_doctor.launch.shell.lexer import Part, parts


def split(text: str) -> list[list[str]]:
    return [[word.text for word in part.words] for part in parts(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b  c", [["a", "b", "c"]]),
        ("a 'b c' \"d e\" f\\ g", [["a", "b c", "d e", "f g"]]),
        ("a'b'\"c\"d", [["abcd"]]),
        ('"a\\"b\\\\c\\$d\\n"', [['a"b\\c$d\\n']]),
        ("$'a\\nb'", [["a\nb"]]),
        ('"$HOME/x" ${A:-b c} $(date +%s) `id -u`', [["$HOME/x", "${A:-b c}", "$(date +%s)", "`id -u`"]]),
        ('"a$\'b"', [["a$'b"]]),
        ("a \\\n  b \\\r\n c", [["a", "b", "c"]]),
        ("a # b\nc", [["a"], ["c"]]),
        ("a b#c", [["a", "b#c"]]),
        ("a && b || c; d & e | f", [["a"], ["b"], ["c"], ["d"], ["e"], ["f"]]),
        ("a > log 2>&1 b < in", [["a", "b"]]),
        ("a 2>/dev/null 3 &> all", [["a", "3"]]),
        ("(a; b)", [["a"], ["b"]]),
        ("a ''", [["a", ""]]),
        ("", []),
        ("# only a comment", []),
        ("```bash\na b\n```", [["a", "b"]]),
        ("a\\", [["a"]]),
    ],
)
def test_words(text: str, words: list[list[str]]) -> None:
    assert split(text) == words


@pytest.mark.parametrize(
    ("text", "kind", "note"),
    [
        ("a --b 1 \\ # why\n--c 2", "comment-after-backslash", "# why"),
        ("a --b 1 \\  \n--c 2", "blank-after-backslash", ""),
        ("a --b 1\n--c 2", "backslash-lost", ""),
        ("a --b 1\n\n   --c 2", "backslash-lost", ""),
        ("a --b 1 # why\n  --c 2", "comment-at-end", "# why"),
        ("a --b 1 \\\n  # why\n  --c 2", "comment-between", "# why"),
        ("a --b 1 \\\n\n  --c 2", "line-between", ""),
        ("a --b 1 \\ --c 2", "newline-lost", ""),
    ],
)
def test_what_a_shell_would_misunderstand_is_understood_and_noted(text: str, kind: str, note: str) -> None:
    (part,) = parts(text)
    assert [word.text for word in part.words] == ["a", "--b", "1", "--c", "2"]
    (repair,) = part.repairs
    assert (repair.kind, repair.note) == (kind, note)
    (again,) = parts(text[: repair.start] + repair.put + text[repair.stop :])
    assert [word.text for word in again.words] == ["a", "--b", "1", "--c", "2"]
    assert not again.repairs


def test_a_line_that_begins_with_no_flag_is_another_command() -> None:
    assert split("a --b 1\nc --d 2") == [["a", "--b", "1"], ["c", "--d", "2"]]


@pytest.mark.parametrize("text", ["a 'b", 'a "b', "a $(b", "a `b", "a ${b", "a $'b"])
def test_what_is_never_closed_is_an_error_with_its_place(text: str) -> None:
    with pytest.raises(LaunchError) as caught:
        parts("x\n" + text)
    assert caught.value.kind == "unclosed-quote"
    assert caught.value.place[:2] == (2, 3)
    assert str(caught.value).startswith("2:3: unclosed-quote")


def test_unreadable_and_huge_texts_are_errors() -> None:
    with pytest.raises(LaunchError) as caught:
        parts("a\nb\0")
    assert (caught.value.kind, caught.value.place[:2]) == ("nul-byte", (2, 2))
    with pytest.raises(LaunchError) as caught:
        parts("a" * (MAX_SIZE + 1))
    assert caught.value.kind == "too-large"


@given(
    st.lists(
        st.text(st.characters(blacklist_characters="\0\r", blacklist_categories=["Cs"]), max_size=12),
        min_size=1,
        max_size=8,
    )
)
def test_quoted_words_come_back(words: list[str]) -> None:
    assert split(shlex.join(words)) == [words]


def parts_or_none(text: str) -> list[Part]:
    try:
        return parts(text)
    except LaunchError:
        return []


@given(st.text(alphabet="a-b \\\n\t\"'$()`{}#;&|<>=0–\r", max_size=80))
def test_any_text_is_words_or_an_error(text: str) -> None:
    last = 0
    for part in parts_or_none(text):
        for word in part.words:
            assert last <= word.start <= word.stop <= len(text)
            last = word.stop


@pytest.mark.parametrize("char", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u00a0", "#", "\\"])
def test_every_character_moves_the_reader_on(char: str) -> None:
    """A lone carriage return once held the reader in place for ever."""
    for text in (char, f"vllm serve m {char}", f"vllm{char}serve m", f"{char}{char} x"):
        assert isinstance(parts(text), list)
