"""Small parts of the commands, called by themselves: sizes, names that are near, what is told of a log that grows."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from program import RULES, run_text

from qvl_doctor.cli import completing, exit_codes, inputs, options
from qvl_doctor.cli.bundle import _check_here, _limit, _shown
from qvl_doctor.cli.check import _probes
from qvl_doctor.cli.following import _teller
from qvl_doctor.cli.logs import _progress
from qvl_doctor.errors import UsageError
from qvl_doctor.machine import PROBES
from qvl_doctor.memory import gpus
from qvl_doctor.messages import both, say
from qvl_doctor.workflows.following import Said

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def test_the_numbers_of_the_exit_codes() -> None:
    """Scripts depend on them."""
    names = ("OK", "FOUND", "USAGE", "UNREADABLE", "UNKNOWN", "BUG", "INTERRUPTED")
    assert [getattr(exit_codes, name) for name in names] == [0, 1, 2, 3, 4, 70, 130]


# ---- Archives


@pytest.mark.parametrize(
    ("asked", "limit"),
    [
        ("64K", 64 * KIB), ("64KiB", 64 * KIB), ("64kb", 64 * KIB), (" 1 m ", MIB), ("20MiB", 20 * MIB), ("1G", GIB),
        ("1024M", GIB), ("63K", None), ("1025M", None), ("2G", None), ("64", None), ("1T", None), ("x1M", None),
        ("1Mx", None), ("0.5G", None), ("1234567890K", None),
    ],
)  # fmt: skip
def test_the_longest_log_of_an_archive(asked: str, limit: int | None) -> None:
    if limit is None:
        with pytest.raises(UsageError, match="--max-log"):
            _limit(asked)
    else:
        assert _limit(asked) == limit


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "2 KiB"), (MIB - 1, "1024 KiB"), (MIB, "1.0 MiB"),
        (3 * MIB // 2, "1.5 MiB"),
    ],
)  # fmt: skip
def test_a_size_that_is_shown(size: int, shown: str) -> None:
    assert _shown(size) == shown


@pytest.mark.parametrize(
    ("given", "skipped", "wrong"),
    [
        ({"--python": "", "--model-dir": ""}, "--env", ""),
        ({"--python": "", "--model-dir": "m"}, "--env", "--model-dir"),
        ({"--python": "p", "--model-dir": ""}, "--no-check", "--python"),
        ({"--python": "p", "--model-dir": "m"}, "", ""),
    ],
)
def test_options_on_a_look_that_is_not_taken(given: dict[str, object], skipped: str, wrong: str) -> None:
    if not wrong:
        _check_here(given, skipped)
        return
    with pytest.raises(UsageError) as told:
        _check_here(given, skipped)
    assert told.value.values == {"name": wrong, "other": skipped}


# ---- Names


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("packages", ""), ("package", "error_env.only_near"), ("gpus", "error_env.only_near"),
        ("modem", "error_env.only_near"), ("hst", "error_env.only_near"),
        # Half of the signs: one pair of letters more or less decides.
        ("homo", "error_env.only_near"), ("hoxyz", "error_env.only"), ("zzz", "error_env.only"),
    ],
)  # fmt: skip
def test_a_look_that_is_near(name: str, key: str) -> None:
    if not key:
        assert _probes(name, import_test=True) == {name}
        return
    with pytest.raises(UsageError) as wrong:
        _probes(name, import_test=True)
    assert wrong.value.key == key


@pytest.mark.parametrize(
    ("only", "import_test", "wanted"),
    [
        ("", True, set(PROBES)),
        ("", False, set(PROBES) - {"imports"}),
        ("gpu, host", True, {"gpu", "host"}),
        ("gpu,", False, {"gpu"}),
        (",", True, None),
        ("imports", False, None),
        ("imports", True, {"imports"}),
    ],
)
def test_which_looks_are_taken(only: str, wanted: set[str] | None, *, import_test: bool) -> None:
    if wanted is None:
        with pytest.raises(UsageError):
            _probes(only, import_test=import_test)
    else:
        assert _probes(only, import_test=import_test) == wanted


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("abcde", "abcde"),
        ("abcdx", "abcdz, abcde"),
        # Three of five letters are the least.
        ("abcxx", "abcdz, abcde"),
        ("abxxx", ""),
    ],
)
def test_what_may_have_been_meant(name: str, names: str) -> None:
    known = ["abcde", "abcdz"] if name != "abcde" else ["abcde"]
    said = inputs.near(name, known)
    assert set(filter(None, said.values())) == ({*both("error.did_you_mean", names=names).values()} if names else set())


def test_three_names_are_enough() -> None:
    assert inputs.near("abcde", [f"abcd{sign}" for sign in "uvwxyz"])["en"].count("abcd") == 3


def test_what_a_shell_offers() -> None:
    assert completing.rule_ids() == [rule.id for rule in RULES]
    names = completing.gpu_names()
    assert len(names) == len(gpus.known())
    assert {"L4", "RTX 4090"} <= set(names)
    assert not any(name.startswith(("NVIDIA", "GeForce")) for name in names)
    assert dict(completing.topics())["kv-cache"]
    assert completing.looks("pack") == ["packages"]
    assert completing.looks("gpu, ho") == ["gpu,host"]


@pytest.mark.parametrize("row", ["torch==2.8.0+{}", "torch 2.8.0+{}", "{}==1.0"])
def test_a_package_list_is_masked(row: str, tmp_path: Path) -> None:
    secret = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345"
    path = tmp_path / "pip.txt"
    path.write_text(f"vllm==0.11.0\n{row.format(secret)}\n", encoding="utf-8")
    found = inputs.package_facts(str(path))
    assert found["vllm"].value == "0.11.0"
    assert "abcdefgh" not in str(found).lower()


# ---- Options


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ([], []),
        (["x.log"], ["logs", "x.log"]),
        (["-"], ["logs", "-"]),
        (["-q", "x.log"], ["logs", "-q", "x.log"]),
        (["-q"], ["-q"]),
        (["--help"], ["--help"]),
        *(
            ([name, "x"], [name, "x"])
            for name in ("logs", "plan", "check", "bundle", "manifest", "explain", "rules", "completion")
        ),
        (["--install-completion", "bash"], ["--install-completion", "bash"]),
        (["--show-completion", "bash"], ["--show-completion", "bash"]),
        (["--lang", "plan"], ["--lang", "plan"]),
    ],
)
def test_the_short_form_is_logs(words: list[str], given: list[str]) -> None:
    assert options.with_command(words) == given


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("-f", "json", "{log}"), ""),
        (("-f", "json", "{log}", "{log}"), "error_logs.one_report"),
        (("-f", "jsonl", "{log}", "{log}"), ""),
        (("--follow", "{log}", "{log}"), "error_logs.one_input"),
        (("-", "-"), "error_env.stdin_twice"),
    ],
)
def test_inputs_that_cannot_go_together(words: tuple[str, ...], key: str, fixtures: Any) -> None:
    log = str(fixtures / "article/oom-9.03.log")
    done = run_text("logs", *(word.format(log=log) for word in words))
    assert done.returncode == (2 if key else 1)
    if key:
        assert say(key, "en") in done.stderr


# ---- A log that grows


SAID = Said("finding", 7, "", "http-500", "notice", "said", 1)


def followed(form: str, *said: Said, quiet: bool = False, lang: str = "en") -> str:
    out = io.StringIO()
    tell = _teller(options.LogsOptions(report=options.ReportOptions(form, quiet=quiet)), lang, out)
    for each in said:
        tell(each)
    return out.getvalue()


def test_what_is_told_while_a_log_grows() -> None:
    assert followed("console", SAID, SAID._replace(line=90, times=10)) == (
        "line 7: http-500 (notice): said\nline 90: http-500: 10 times by now\n"
    )
    assert followed("console", SAID._replace(origin="a/b", severity="fatal", text="x" * 161)) == (
        f"line 7, a/b: http-500 (fatal): {'x' * 160}\n"
    )
    assert followed("console", Said("ready", 8), Said("dead", 9, "a")) == (
        "line 8: the server is ready\nline 9, a: the server died\n"
    )
    assert (
        followed("console", SAID, Said("dead", 9), lang="zh")
        == "第 7 行：http-500（提示）：said\n第 9 行：服务已终止\n"
    )


def test_events_say_what_there_is_to_say() -> None:
    told = followed("jsonl", SAID._replace(text="x" * 161), Said("dead", 9, "a"))
    assert [json.loads(line) for line in told.splitlines()] == [
        {"event": "finding", "line": 7, "rule": "http-500", "severity": "notice", "text": "x" * 160, "times": 1},
        {"event": "dead", "line": 9, "origin": "a"},
    ]


@pytest.mark.parametrize(("form", "quiet"), [("json", False), ("markdown", False), ("jsonl", True), ("console", True)])
def test_a_report_that_comes_alone(form: str, *, quiet: bool) -> None:
    assert followed(form, SAID, Said("dead", 9), quiet=quiet) == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("chunks", "shown"),
    [
        ([64 * MIB], ""),
        ([64 * MIB, 1], "\r64 MiB" + "\r" + " " * 20 + "\r"),
        ([64 * MIB, MIB], "\r65 MiB" + "\r" + " " * 20 + "\r"),
    ],
)
def test_how_much_of_a_long_log_was_read(chunks: list[int], shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Long(bytes):
        """A chunk that is as long as it says, without its bytes."""

        size = 0

        def __len__(self) -> int:
            return self.size

    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    with _progress(options.LogsOptions()) as tell:
        assert tell is not None
        for size in chunks:
            chunk = Long()
            chunk.size = size
            tell(chunk)
    assert stream.getvalue() == shown


@pytest.mark.parametrize(("terminal", "follow"), [(False, False), (True, True)])
def test_no_progress_is_shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, follow: bool) -> None:
    monkeypatch.setattr("sys.stderr", Terminal() if terminal else io.StringIO())
    with _progress(options.LogsOptions(follow=follow)) as tell:
        assert tell is None
