"""Each thing that a paste goes through is undone, and what went through none of them stays as it is."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from qvl_doctor.logs.paste import Paste
from qvl_doctor.logs.source import LineSplitter, RawLine

ERROR = "ERROR 02-16 10:03:20 [core.py:900]"
HEADER = "Traceback (most recent call last):"
FRAME = '  File "/usr/lib/python3/vllm/a.py", line 7, in load'


def undone(text: str, *, live: bool = False) -> list[RawLine]:
    splitter, paste = LineSplitter(), Paste(live=live)
    lines = paste.feed(list(splitter.feed(text.encode())))
    return lines + paste.feed(list(splitter.flush())) + paste.flush()


def said(text: str) -> list[str]:
    return [line.text for line in undone(text)]


@pytest.mark.parametrize(
    ("pasted", "lines"),
    [
        ("KeyError: &#39;qwen3&#39; &lt;x&gt;", ["KeyError: 'qwen3' <x>"]),
        ("<pre><code>ValueError: a<br/>\nb</code></pre>", ["ValueError: a", "b"]),
        ("KeyError: ‘qwen3’ “x”", ["KeyError: 'qwen3' \"x\""]),
        ("vllm serve m —max-model-len 8192", ["vllm serve m --max-model-len 8192"]),
        ("::error title=start::ValueError: 5%25 of it%0A  more", ["ValueError: 5% of it", "  more"]),
        ('2025-02-16 08:31:21.000,"it says ""no""#015"', ['it says "no"']),
        (
            '"Traceback (most recent call last):\\n  File \\"a.py\\", line 1\\nKeyError: \'x\'"',
            [HEADER, '  File "a.py", line 1', "KeyError: 'x'"],
        ),
        (
            '{"message":"\\"auto\\" tool choice requires --enable-auto-tool-choice","type":"BadRequestError"}',
            ["{", '"auto" tool choice requires --enable-auto-tool-choice'],
        ),
        ("```KeyError: 'x'```", ["```", "KeyError: 'x'", "```"]),
        ("**_ValueError: no_**", ["ValueError: no"]),
        ("**ValueError**: no", ["ValueError: no"]),
        (f"{ERROR} `ValueError: no`", [f"{ERROR} ValueError: no"]),
        ("Error: KeyError: 'x'", ["KeyError: 'x'"]),
        ("报错：KeyError: 'x'", ["KeyError: 'x'"]),
        (f"my log:\n\n    {HEADER}\n    {FRAME}\n    KeyError: 'x'", ["my log:", "", HEADER, FRAME, "KeyError: 'x'"]),
        ("- OSError: [Errno 24] no", ["OSError: [Errno 24] no"]),
        (f"unit=0 main {HEADER}\nunit=0 main {FRAME}\nunit=0 main KeyError: 'x'", [HEADER, FRAME, "KeyError: 'x'"]),
        ("Traceback  (most  recent  call  last):\nKeyError:  'x'", [HEADER, "KeyError: 'x'"]),
        (
            f"{HEADER} {FRAME.strip()} raise KeyError(name) KeyError: 'x'",
            [HEADER, FRAME, "    raise KeyError(name)", "KeyError: 'x'"],
        ),
        (
            f"{ERROR} the first thing that is said {ERROR} the second one",
            [f"{ERROR} the first thing that is said", f"{ERROR} the second one"],
        ),
        (f"KeyError: 'x'\n    raise\n{FRAME}\n{HEADER}", [HEADER, FRAME, "    raise", "KeyError: 'x'"]),
    ],
)  # fmt: skip
def test_undone(pasted: str, lines: list[str]) -> None:
    assert said(pasted) == lines


def test_padding_of_a_terminal_is_taken_out_of_words() -> None:
    first, second = "w" * 76 + " conf", "iguration " + "x" * 71
    pad = " " * 16
    text = f"{first}{pad}{second}{pad}end\n"
    assert said(text) == [f"{first}{second}end"]


@pytest.mark.parametrize(
    "text",
    [
        f"{ERROR} it says: 5 &lt; 7 and 7 < 9",
        'INFO 02-16 10:03:20 [x.py:1] template: "{% if a %}\\nINFO {% endif %}\\n"',
        "INFO 02-16 10:03:20 [x.py:1] Found `OSError: [Errno 24] Too many open files`. Consider more",
        '  File "<frozen runpy>", line 198, in _run_module_as_main\n  File "a.py", line 6, in <module>',
        f"{ERROR} a message\n  ValueError: that goes on",
        "INFO 12-31 23:59:59 [x.py:1] a\nINFO 01-01 00:00:01 [x.py:1] b\nINFO 01-01 00:00:02 [x.py:1] c",
        '{"log":"Traceback (most recent call last):\\n","stream":"stderr","time":"2025-02-16T08:31:21Z"}',
        "C:\\new\\tools\\run.exe failed",
    ],
)
def test_left_as_it_is(text: str) -> None:
    assert said(text) == text.split("\n")


@pytest.mark.parametrize("mark", ["Received request chat-1: prompt: 'x", "Request chat-1 JSON body: {'x"])
@pytest.mark.parametrize("words", [f"\\nTraceback\\n{ERROR} &quot; “", "&#39;KeyError: 1&#39;", "**ValueError: x**"])
def test_what_users_wrote_is_not_touched(mark: str, words: str) -> None:
    line = f"INFO 02-16 10:03:20 [logger.py:43] {mark}{words}', params: SamplingParams(n=1)"
    assert said(f"{line}\n{ERROR} &quot;x&quot;") == [line, f'{ERROR} "x"']


def test_nothing_that_is_unescaped_styles_a_terminal() -> None:
    assert said('"KeyError: 1\\n\\u001b[31mValueError: red\\u202e"') == ["KeyError: 1", "ValueError: red"]
    assert "".join(said("ValueError: &quot;&#155;31m&#8238;red&quot;")).isprintable()


def test_lines_keep_their_numbers_unless_there_are_more_of_them() -> None:
    assert [line.number for line in undone("a\nKeyError: &#39;x&#39;\nb")] == [1, 2, 3]
    assert [line.number for line in undone("a\n\"b\\nKeyError: 'x'\"\nc")] == [1, 2, 3, 4]
    first, *_ = undone(f"KeyError: 'x'\n    raise\n{FRAME}\n{HEADER}")
    assert (first.number, first.text) == (1, HEADER)


def test_a_long_input_is_held_back_only_at_its_beginning() -> None:
    paste = Paste()
    block = [RawLine(number, "x" * 1000) for number in range(1, 101)]
    counts = [len(paste.feed(block)) for _ in range(5)]
    assert counts == [0, 0, 300, 100, 100]
    assert paste.flush() == []


def test_live_nothing_is_held_back() -> None:
    paste = Paste(live=True)
    assert [line.text for line in paste.feed([RawLine(1, "KeyError: &#39;x&#39;")])] == ["KeyError: 'x'"]


def test_what_the_beginning_shows_is_undone_to_the_end() -> None:
    line = "ValueError: &#39;x&#39; " + "y" * 1000
    assert all("'x'" in text for text in said(f"{line}\n" * 400))


@pytest.mark.parametrize(
    "hostile",
    [
        "`" * 200_000,
        "\\n" * 100_000 + "Error",
        'File "' * 40_000,
        "INFO 02-16 10:03:20 " * 10_000,
        "&#39;" * 40_000,
        (" " * 7 + "x") * 30_000,
        '"message": "' * 20_000 + '\\"',
        "::a" * 60_000 + "%0A",
        "KeyError: " * 20_000,
        "- " * 100_000,
        "<br" * 80_000,
        "(APIServer pid=1) " * 14_000,
        '{"a":' * 50_000 + "\\nError",
    ],
)
def test_hostile_text_takes_linear_time(hostile: str) -> None:
    began = time.process_time()
    undone(hostile)
    undone(hostile[: len(hostile) // 2] + "\n" + hostile)
    assert time.process_time() - began < 4


def test_healthy_logs_pass_as_they_are(fixtures: Path) -> None:
    for log in sorted(fixtures.glob("*/*.log")):
        data = log.read_bytes()
        splitter = LineSplitter()
        lines = [*splitter.feed(data), *splitter.flush()]
        paste = Paste()
        assert paste.feed(lines) + paste.flush() == lines, log
