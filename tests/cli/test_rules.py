"""`qvl-doctor rules`: list, test, new."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rule_files import GOOD, OTHER, write
from typer.testing import CliRunner, Result

from qvl_doctor import rulebook
from qvl_doctor.authoring.examples import check_examples
from qvl_doctor.authoring.skeleton import failing_record, pattern_of, skeleton
from qvl_doctor.cli.rules import app
from qvl_doctor.facts.lines import CHECKS

TRACEBACK = """\
(EngineCore_0 pid=7) INFO 10-02 13:50:11 [gpu_model_runner.py:2602] Starting to load model /models/vl...
(EngineCore_0 pid=7) ERROR 10-02 13:50:14 [core.py:708] EngineCore failed to start.
(EngineCore_0 pid=7) ERROR 10-02 13:50:14 [core.py:708] Traceback (most recent call last):
(EngineCore_0 pid=7) ERROR 10-02 13:50:14 [core.py:708]   File "/opt/vllm/v1/engine/core.py", line 699, in run_engine_core
(EngineCore_0 pid=7) ERROR 10-02 13:50:14 [core.py:708]     engine_core = EngineCoreProc(*args, **kwargs)
(EngineCore_0 pid=7) ERROR 10-02 13:50:14 [core.py:708]   File "/opt/vllm/models/vl.py", line 12, in load_weights
(EngineCore_0 pid=7) ERROR 10-02 13:50:14 [core.py:708] ValueError: The 'left.wing' of /models/vl/part-1.bin has 12 nuts (0.5 off), not [13]
(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two shipped rules."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    write(folder, OTHER, "engine-failed")
    write(
        folder,
        OTHER.replace("engine-failed", "worker-failed")
        .replace("severity: fatal", "severity: notice")
        .replace("Engine core", "Worker process"),
        "worker-failed",
    )
    for module in (rulebook, rulebook.book):
        monkeypatch.setattr(module, "rules_folder", lambda: str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def run(*arguments: str | Path, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin, catch_exceptions=False)


@pytest.mark.usefixtures("shipped")
class TestList:
    def test_a_table(self) -> None:
        done = run("list")
        assert done.exit_code == 0
        assert [line.split() for line in done.stdout.splitlines()] == [
            ["rule", "severity", "examples", "title"],
            ["engine-failed", "fatal", "2", "The", "engine", "failed"],
            ["worker-failed", "notice", "2", "The", "engine", "failed"],
        ]

    def test_one_severity_in_chinese(self) -> None:
        done = run("list", "--severity", "notice", "--lang", "zh")
        assert [line.split() for line in done.stdout.splitlines()[1:]] == [
            ["worker-failed", "notice", "2", "引擎启动失败"]
        ]

    def test_the_language_of_the_locale(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
        assert "引擎启动失败" in run("list").stdout

    def test_placeholders_are_readable(self, tmp_path: Path) -> None:
        (tmp_path / "own").mkdir()
        write(tmp_path / "own", GOOD)
        assert "<asked>" in run("list", "--rules", tmp_path / "own").stdout

    def test_json(self) -> None:
        assert json.loads(run("list", "--format", "json", "--severity", "fatal").stdout) == [
            {
                "id": "engine-failed",
                "severity": "fatal",
                "confidence": "certain",
                "symptom": True,
                "topic": "",
                "title": {"en": "The engine failed", "zh": "引擎启动失败"},
                "examples": {"matches": 1, "silent": 1},
                "references": ["https://github.com/vllm-project/vllm"],
            }
        ]

    def test_an_unknown_severity(self) -> None:
        assert run("list", "--severity", "bad").exit_code == 2

    def test_what_is_wrong_does_not_hide_the_rest(self, shipped: Path) -> None:
        write(shipped, OTHER, "third")
        done = run("list")
        assert done.exit_code == 1
        assert "engine-failed" in done.stdout
        assert "third.yaml:2: id: the id is the file's name" in done.stderr


class TestTest:
    def test_all_hold(self, shipped: Path) -> None:
        done = run("test")
        assert (done.exit_code, done.stdout) == (0, "2 rules, 4 examples: all hold\n")
        assert run("test", "--rules", shipped).stdout == done.stdout

    def test_some_do_not(self, shipped: Path) -> None:
        path = write(shipped, OTHER.replace("went well", "failed"), "engine-failed")
        done = run("test")
        assert done.exit_code == 1
        assert (
            done.stdout == f"{path}: another: speaks, and must be silent\n2 rules, 4 examples: 1 problem in 1 of them\n"
        )

    def test_only_the_rules_that_are_named(self, shipped: Path) -> None:
        write(shipped, OTHER.replace("went well", "failed"), "engine-failed")
        assert run("test", "worker-failed").stdout == "1 rule, 2 examples: all hold\n"
        assert run("test", "worker-failed", "engine-failed").exit_code == 1
        done = run("test", "no-such-rule")
        assert (done.exit_code, done.stderr) == (2, "qvl-doctor: there is no rule 'no-such-rule'\n")

    def test_a_file_that_does_not_load_does_not_hide_the_others(self, shipped: Path) -> None:
        broken = write(shipped, OTHER.replace("severity", "sevrity"), "worker-failed")
        write(shipped, OTHER.replace("went well", "failed"), "engine-failed")
        lines = run("test").stdout.splitlines()
        assert [line.startswith(f"{broken}:") for line in lines] == [True, True, True, False, False]
        assert lines[-1] == "2 rules, 2 examples: 4 problems in 2 of them"
        assert run("test", "engine-failed").stdout.splitlines()[-1] == "1 rule, 2 examples: 1 problem in 1 of them"

    @pytest.mark.usefixtures("shipped")
    def test_own_rules_beside_the_shipped_ones(self, tmp_path: Path) -> None:
        (tmp_path / "own").mkdir()
        write(tmp_path / "own", OTHER.replace("engine-failed", "mine").replace("symptom: yes", ""), "mine")
        done = run("test", "--rules", tmp_path / "own")
        assert done.exit_code == 1
        assert "engine-failed.yaml: the engine: loses its example to mine" in done.stdout

    @pytest.mark.usefixtures("shipped")
    def test_an_own_rule_of_a_shipped_id(self, tmp_path: Path) -> None:
        (tmp_path / "own").mkdir()
        write(tmp_path / "own", OTHER, "engine-failed")
        done = run("test", "--rules", tmp_path / "own")
        assert done.exit_code == 1
        assert "there is a rule 'engine-failed' already; rename this, or use --override" in done.stdout
        assert run("test", "--rules", tmp_path / "own", "--override").stdout == "2 rules, 4 examples: all hold\n"

    @pytest.mark.usefixtures("shipped")
    def test_no_such_folder(self) -> None:
        done = run("test", "--rules", "none")
        assert (done.exit_code, done.stderr) == (2, "qvl-doctor: none: no such folder\n")


@pytest.fixture
def by_topic(shipped: Path) -> Path:
    """The same folder, its rules sorted into topics."""
    topics = {"engine-failed": "engine", "worker-failed": "workers"}
    for name, topic in topics.items():
        (shipped / topic).mkdir()
        (shipped / f"{name}.yaml").rename(shipped / topic / f"{name}.yaml")
    text = "workers: {en: Worker processes, zh: worker 进程}\nengine: {en: The engine, zh: 引擎}\n"
    (shipped / "topics.yaml").write_text(text, encoding="utf-8")
    return shipped


@pytest.mark.usefixtures("by_topic")
class TestTopics:
    def test_a_list_is_sorted_by_topic(self, tmp_path: Path) -> None:
        (tmp_path / "own").mkdir()
        write(
            tmp_path / "own",
            OTHER.replace("engine-failed", "own-failure").replace("Engine core", "My core"),
            "own-failure",
        )
        lines = [line.split() for line in run("list", "--rules", tmp_path / "own").stdout.splitlines()]
        assert [line[0] for line in lines if line] == [
            *("rule", "Worker", "worker-failed", "The", "engine-failed", "own-failure"),
        ]
        assert ["Worker", "processes", "(workers)"] in lines

    def test_a_rule_is_one_line_however_long_its_title_is(self, tmp_path: Path) -> None:
        (tmp_path / "own").mkdir()
        title = "The engine failed " + "again " * 40
        write(
            tmp_path / "own", OTHER.replace("engine-failed", "own").replace("The engine failed", title.rstrip()), "own"
        )
        assert run("list", "--rules", tmp_path / "own").stdout.splitlines()[-1].endswith(title.rstrip())

    def test_one_topic_in_chinese(self) -> None:
        lines = run("list", "--topic", "engine", "--lang", "zh").stdout.splitlines()
        assert [line.split()[0] for line in lines if line.strip()] == ["rule", "引擎", "engine-failed"]

    def test_one_topic_as_json(self) -> None:
        found = json.loads(run("list", "--topic", "workers", "--format", "json").stdout)
        assert [(rule["id"], rule["topic"]) for rule in found] == [("worker-failed", "workers")]

    @pytest.mark.parametrize("command", [("list",), ("new", "a-rule", "--rules", "shipped")])
    @pytest.mark.parametrize(
        ("topic", "said"),
        [
            ("worker", "there is no topic 'worker'; did you mean 'workers'?"),
            ("zoo", "there is no topic 'zoo'; there are: workers, engine"),
        ],
    )
    def test_a_topic_that_there_is_not(self, command: tuple[str, ...], topic: str, said: str) -> None:
        done = run(*command, "--topic", topic, stdin=TRACEBACK)
        assert (done.exit_code, done.stderr) == (2, f"qvl-doctor: {said}\n")

    def test_a_new_rule_goes_to_its_topic(self, by_topic: Path) -> None:
        assert run("new", "a-rule", "--rules", "shipped", "--topic", "engine", stdin=TRACEBACK).exit_code == 0
        assert (by_topic / "engine/a-rule.yaml").exists()
        done = run("new", "a-rule", "--rules", "shipped", "--topic", "workers", stdin=TRACEBACK)
        assert (done.exit_code, done.stderr) == (2, "qvl-doctor: shipped/engine/a-rule.yaml exists already\n")

    def test_a_new_rule_without_its_topic(self) -> None:
        done = run("new", "a-rule", "--rules", "shipped", stdin=TRACEBACK)
        assert (done.exit_code, done.stderr) == (2, "qvl-doctor: --topic is needed; there are: workers, engine\n")

    def test_a_whole_book_and_the_checklist_need_each_other(self, by_topic: Path, tmp_path: Path) -> None:
        path = by_topic / "engine/engine-failed.yaml"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("symptom: yes", "symptom: yes\ncheck: gpu.cards"), encoding="utf-8")
        done = run("test")
        lines = [line for line in done.stdout.splitlines() if "no rule is about the line" in line]
        assert (done.exit_code, len(lines)) == (1, len(CHECKS) - 1)
        assert "no rule is about the line 'gpu.driver' of the checklist" in done.stdout
        assert "line" not in run("test", "engine-failed").stdout
        (tmp_path / "own").mkdir()
        mine = text.replace("engine-failed", "own-failure").replace("Engine core", "My core")
        mine = mine.replace("message: My core initialization failed", "observation: clock_wrong")
        mine = mine.replace(
            "log: My core initialization failed", "observation: clock_wrong, values: {day: '1970-01-01'}"
        )
        write(tmp_path / "own", mine, "own-failure")
        assert "own-failure" not in run("test", "--rules", tmp_path / "own").stdout

    def test_a_folder_of_ones_own_takes_any_topic(self, tmp_path: Path) -> None:
        assert run("new", "a-rule", "--rules", "own", "--topic", "zoo", stdin=TRACEBACK).exit_code == 0
        assert (tmp_path / "own/zoo/a-rule.yaml").exists()
        done = run("new", "a-rule", "--rules", "own", "--topic", "../zoo", stdin=TRACEBACK)
        assert (done.exit_code, done.stderr) == (
            2,
            "qvl-doctor: a topic is lower-case words joined by '-', not '../zoo'\n",
        )


class TestNew:
    @pytest.mark.parametrize("piped", [True, False])
    def test_a_rule_that_lacks_only_words(self, piped: bool, shipped: Path, tmp_path: Path) -> None:
        (tmp_path / "pod.log").write_text(TRACEBACK, encoding="utf-8")
        (tmp_path / "rules").mkdir()
        done = run("new", "loose-screws", stdin=TRACEBACK) if piped else run("new", "loose-screws", "pod.log")
        assert done.exit_code == 0
        path = Path("rules", "loose-screws.yaml")
        assert done.stdout.splitlines()[0] == str(path)
        assert "Note: engine-failed already" not in done.stdout  # it is the consequence of what is asked for
        assert "rules test --rules rules" in done.stdout
        rule = path.read_text(encoding="utf-8")
        _, mistakes = rulebook.read("rules", beside=rulebook.load(str(shipped)))
        assert {mistake.problem for mistake in mistakes} == {"is not written yet"}
        assert len(mistakes) == rule.count("TODO")

        written = rule.replace(
            "  - TODO the place in vLLM's source, or the issue in which a maintainer explains it",
            "  - https://example.com/1",
        )
        path.write_text(re.sub("TODO[^\n]*", "Words 文字", written), encoding="utf-8")
        loaded = rulebook.load_file(str(path))
        assert loaded.match[0].exception == "ValueError"
        assert loaded.matches[0].captures == {
            "name": "left.wing",
            "path": "/models/vl/part-1.bin",
            "number": "12",
            "number2": "0.5",
            "number3": "13",
        }
        assert "(EngineCore_0 pid=7) ERROR 10-02 13:50:14 [core.py:708] ValueError: The 'left" in loaded.matches[0].log
        assert "Starting to load" not in loaded.matches[0].log
        assert check_examples([loaded]) == []

    @pytest.mark.usefixtures("shipped")
    def test_it_says_which_rule_speaks_already(self) -> None:
        done = run(
            "new",
            "again",
            "--rules",
            "mine",
            stdin="ERROR 10-02 13:50:14 [core.py:708] Engine core initialization failed\n",
        )
        assert "Note: engine-failed already speaks on this log. Is another rule needed?" in done.stdout

    def test_in_the_source_tree_the_test_needs_no_folder(self, shipped: Path) -> None:
        assert run("new", "loose-screws", "--rules", shipped, stdin=TRACEBACK).stdout.endswith(
            "3. qvl-doctor rules test\n"
        )

    @pytest.mark.usefixtures("shipped")
    @pytest.mark.parametrize(
        ("arguments", "stdin", "code", "said"),
        [
            (("Not_An_Id",), TRACEBACK, 2, "lower-case words joined by '-', not 'Not_An_Id'"),
            (("../escape",), TRACEBACK, 2, "lower-case words joined by '-'"),
            (("engine-failed", "--rules", "shipped"), TRACEBACK, 2, "engine-failed.yaml exists already"),
            (("nothing",), "\n\n", 3, "-: there is nothing in it to write a rule about"),
            (("missing", "no-such.log"), None, 3, "no-such.log"),
            (("not-a-folder", "--rules", "shipped/engine-failed.yaml"), TRACEBACK, 2, "not-a-folder.yaml: "),
        ],
    )
    def test_what_cannot_be(self, arguments: tuple[str, ...], stdin: str | None, code: int, said: str) -> None:
        done = run("new", *arguments, stdin=stdin)
        assert done.exit_code == code
        assert said in done.stderr
        assert "Traceback" not in done.output

    def test_secrets_and_control_characters_stay_out(self) -> None:
        text = skeleton(
            "x",
            "\x1b[31mERROR 10-02 13:50:14 [core.py:708] Refused the token hf_abcdefghijklmnopqrstuvwxyz123456 of host\x07 nine\x1b[0m\n",
        )
        assert text
        assert "hf_abc" not in text
        assert not re.search(r"[\x00-\x09\x0b-\x1f]", text)

    def test_a_long_traceback_keeps_its_end(self, tmp_path: Path) -> None:
        frames = "".join(f'  File "/a/vllm/b{number}.py", line {number}, in call\n    call()\n' for number in range(90))
        text = skeleton("long", f"Traceback (most recent call last):\n{frames}ValueError: there is no end in sight\n")
        assert text
        rule = re.sub("TODO[^\n]*", "Words 文字", text.replace("  - TODO", "  - https://example.com/1 #"))
        path = write(tmp_path, rule, "long")
        loaded = rulebook.load_file(str(path))
        assert len(loaded.matches[0].log.splitlines()) == 60
        assert loaded.matches[0].log.splitlines()[0] == "Traceback (most recent call last):"
        assert check_examples([loaded]) == []


def test_lines_that_begin_with_blanks_keep_them(tmp_path: Path) -> None:
    text = skeleton("blanks", "    the frobnicator has come loose\n")
    assert text
    rule = re.sub("TODO[^\n]*", "Words 文字", text.replace("  - TODO", "  - https://example.com/1 #"))
    assert (
        rulebook.load_file(str(write(tmp_path, rule, "blanks"))).matches[0].log == "    the frobnicator has come loose"
    )


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("plain words only", "plain words only"),
        ("a (b) [c] {d} e.f g* h+ i? j^ k$ l|m n\\o", r"a \(b\) \[c\] \{d\} e\.f g\* h\+ i\? j\^ k\$ l\|m n\\o"),
        ("max_model_len (131072) is", r"max_model_len \((?P<number>\d+(?:\.\d+)?)\) is"),
        ("model 'a b' at /data/x.bin", "model '(?P<name>[^']+)' at (?P<path>~?/\\S*\\w)"),
        ("see https://a.b/c?d=1 now", r"see (?P<url>https?://\S+) now"),
        ("needs 4.49.0, has `v4.48.3.dev0`", r"needs (?P<version>v?\d[\d.]*), has `(?P<code>[^`]+)`"),
        ("12 tokens", r"\b(?P<number>\d+(?:\.\d+)?) tokens"),
        ("qwen2_5_vl and fp8 stay", "qwen2_5_vl and fp8 stay"),
        ("at 0x7f3a twice 0x1", r"at (?P<address>0x\w+) twice (?P<address2>0x\w+)"),
    ],
)
def test_pattern_of_a_message(message: str, pattern: str) -> None:
    assert pattern_of(message) == pattern
    assert re.search(pattern, message)


def test_a_pattern_ends_between_words() -> None:
    assert pattern_of("word " * 100) == ("word " * 100)[:159]


def test_the_last_error_where_nothing_was_raised() -> None:
    from qvl_doctor.logs.records import read_records

    log = "ERROR 10-02 13:50:14 [core.py:708] first\nERROR 10-02 13:50:15 [core.py:709] second\nINFO 10-02 13:50:16 [core.py:710] third\n"
    records = list(read_records(log))
    assert [record.message for record in (failing_record(records), failing_record(records[2:])) if record] == [
        "second",
        "third",
    ]
    assert failing_record([]) is None
