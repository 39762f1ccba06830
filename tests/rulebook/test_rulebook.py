"""Rule files: what they become, and what is said about every mistake in them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from rule_files import GOOD, OTHER, changed, line_of, mistakes, write

from qvl_doctor import rulebook
from qvl_doctor.facts.lines import CHECKS
from qvl_doctor.model import Condition, Example, FixTemplate, Rule
from qvl_doctor.rulebook import RuleError, folders
from qvl_doctor.rulebook.folders import rule_files
from qvl_doctor.rulebook.nodes import MAX_BYTES, MAX_DEPTH, MAX_NODES
from qvl_doctor.rulebook.rulefile import read_rule


def test_a_rule_is_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert rulebook.load_file(str(path)) == Rule(
        id="length-above-model",
        severity="fatal",
        confidence="likely",
        title={
            "en": "The length {asked} is more than the model's {derived}",
            "zh": "长度 {asked} 超过模型的 {derived}",
        },
        why={
            "en": "The model was trained for {derived} tokens; --max-model-len asks for {asked}.",
            "zh": "模型训练长度为 {derived}；而 --max-model-len 为 {asked}。",
        },
        match=(
            Condition(
                message=r"max_model_len \((?P<asked>\d+)\) is greater than the derived max_model_len \(\S+=(?P<derived>\d+)\)",
                exception="ValueError",
                level="ERROR|WARNING",
                facts={"phase": "config", "vllm": "<0.12"},
                literals=(") is greater than the derived max_model_len (",),
            ),
            Condition(
                message=r"asked for (?P<asked>\d+) tokens, but the model has (?P<derived>\d+)",
                literals=(" tokens, but the model has ", "asked for "),
            ),
        ),
        fixes=(
            FixTemplate(
                {"en": "Lower --max-model-len to {derived}.", "zh": "将 --max-model-len 降为 {derived}。"},
                applies={"engine": "V1"},
                change={
                    "flags": {
                        "--max-model-len": "{derived}",
                        "--enforce-eager": True,
                        "--swap-space": None,
                        "--allowed-origins": ["one", "two"],
                        "--limit-mm-per-prompt": {"image": "1", "video": "0"},
                        "--hf-overrides": {"a": {"b": True}},
                        "{asked}": None,
                    },
                    "env": {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1", "VLLM_USE_V1": None},
                    "pip": ["transformers>=4.49,<5", "vllm[audio]=={vllm}", "torch{derived}"],
                    "image": "vllm/vllm-openai:v0.8.5",
                    "pod": "shm-volume",
                    "run": "ray status",
                },
            ),
            FixTemplate({"en": "Ask less.", "zh": "减少输入。"}),
        ),
        references=("https://docs.vllm.ai/en/latest/serving/engine_args.html",),
        applies={"vllm": ">=0.8,<0.10"},
        explains=("engine-failed",),
        before=("engine-failed",),
        matches=(
            Example(
                "a length above",
                "ValueError: max_model_len (131072) is greater than the derived max_model_len (max_position_embeddings=32768)",
                {"vllm": "0.8.5"},
                {"asked": "131072", "derived": "32768"},
                ("--max-model-len 32768",),
            ),
        ),
        silent=(Example("a length that fits", "INFO all is well"),),
        source=str(path),
    )


def test_without_the_c_parser_a_rule_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, GOOD)
    fast = rulebook.load_file(str(path))
    monkeypatch.delattr("yaml.CBaseLoader", raising=False)
    assert rulebook.load_file(str(path)) == fast


def test_a_file_may_begin_with_a_byte_order_mark_and_have_windows_lines(tmp_path: Path) -> None:
    path = tmp_path / "length-above-model.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert rulebook.load_file(str(path)) == rulebook.load_file(str(write(tmp_path, GOOD)))


@pytest.mark.parametrize(("old", "new"), [
    ("    message: 'max_model_len \\((?P<asked>\\d+)\\) is greater than the derived max_model_len \\(\\S+=(?P<derived>\\d+)\\)'",
     "    message: '\\b(?P<asked>\\d+) is (?P<derived>\\d+)'\n    frame: 'config\\.py:_get_and_verify'"),
    ("  - message: 'asked", "  - exception: OutOfMemoryError\n    frame: 'a:(?P<asked>\\w+)(?P<derived>b)'\n  - message: 'asked"),
    ("  - message: 'asked", "  - facts: {ended: abrupt, max_model_len: '>7'}\n  - message: 'asked"),
    ("title:\n  en: The length {asked} is more than the model's {derived}\n  zh: 长度 {asked} 超过模型的 {derived}",
     "title:\n  en: Too long\n  zh: 过长"),
    ("why:\n", "remedy: shorter_context\nwhy:\n"),
    ("en: Ask less.\n    zh: 减少输入。", "en: Ask for {max_model_len}.\n    zh: 设为 {max_model_len}。"),
    ("    applies: {engine: V1}", "    applies: {engine: V1, asked: '>=9'}"),
    ("    applies: {engine: V1}", "    remedy: shorter_context\n    applies: {what_the_remedy_answers: 'yes'}"),
])  # fmt: skip
def test_what_is_legal_is_accepted(old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qvl_doctor.rulebook.rulefile._remedies", lambda: frozenset(["shorter_context"]))
    text = changed(old, new)
    if "facts: {ended" in new or "OutOfMemoryError" in new:
        text = text.replace("title:\n  en: The length {asked} is more than the model's {derived}\n  zh: 长度 {asked} 超过模型的 {derived}",
                            "title:\n  en: Too long\n  zh: 过长")  # fmt: skip
    assert rulebook.load_file(str(write(tmp_path, text))).id == "length-above-model"


class TestHostileFiles:
    """Files that strangers wrote end in a mistake, soon."""

    def check(self, folder: Path, data: bytes, said: str) -> None:
        path = folder / "length-above-model.yaml"
        path.write_bytes(data)
        began = time.process_time()
        with pytest.raises(RuleError) as raised:
            rulebook.load_file(str(path))
        assert said in str(raised.value)
        assert time.process_time() - began < 5

    def test_too_large(self, tmp_path: Path) -> None:
        self.check(tmp_path, b"# \n" * MAX_BYTES, "larger than 256 KiB")

    @pytest.mark.parametrize("opening", [b"[", b"{a: ", b"- ", b"? "])
    def test_too_deep(self, opening: bytes, tmp_path: Path) -> None:
        self.check(tmp_path, opening * (MAX_BYTES // len(opening)), f"nested more than {MAX_DEPTH} deep")

    def test_aliases_that_multiply(self, tmp_path: Path) -> None:
        bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]\n" for number in range(1, 12)
        )
        self.check(tmp_path, bomb.encode(), f"more than {MAX_NODES} values")

    def test_an_alias_to_itself(self, tmp_path: Path) -> None:
        self.check(tmp_path, b"a: &a [*a]\n", "refers to an anchor that does not exist")

    def test_too_many_values(self, tmp_path: Path) -> None:
        self.check(tmp_path, b"- a\n" * 2 * MAX_NODES, f"more than {MAX_NODES} values")

    def test_a_key_that_is_a_map(self, tmp_path: Path) -> None:
        self.check(tmp_path, b"? {a: b}\n: c\n", "a key is a word")

    def test_not_utf_8(self, tmp_path: Path) -> None:
        self.check(tmp_path, b"id: x\n# \xff\n", "yaml:2: the file is not UTF-8 text")

    def test_binary(self, tmp_path: Path) -> None:
        self.check(tmp_path, bytes(range(128)) * 9, "yaml:1: there is a control character")

    @pytest.mark.parametrize("data", [b"", b"# nothing\n", b"\n\n"])
    def test_empty(self, data: bytes, tmp_path: Path) -> None:
        self.check(tmp_path, data, "the file is empty")

    @pytest.mark.parametrize(
        "data",
        [b"just text", b"- a\n- b\n", b"id: [a]\nmatch: {a: b}\nfixes: [[a]]\ntests: 1\ntitle: []\napplies: []\n"],
    )
    def test_another_shape(self, data: bytes, tmp_path: Path) -> None:
        self.check(tmp_path, data, "is a map of")

    def test_a_merge_key_is_only_an_unknown_key(self, tmp_path: Path) -> None:
        self.check(tmp_path, b"a: &a {id: x}\n<<: *a\n", "not '<<'")


def test_an_alias_stands_for_what_it_names(tmp_path: Path) -> None:
    text = changed("message: 'asked", "message: &words 'asked").replace(
        "fixes:\n", "  - level: ERROR\n    message: *words\nfixes:\n", 1
    )
    text = text.replace("applies: {vllm: '>=0.8,<0.10'}\nexplains", "explains").replace(
        "symptom: no\n\n  - level", "  - level"
    )
    start, end = text.index("explains:"), text.index("  - level: ERROR\n    message: *words")
    moved = (
        text[:start] + text[end : text.index("fixes:\n", end)] + text[start:end] + text[text.index("fixes:\n", end) :]
    )
    rule = rulebook.load_file(str(write(tmp_path, moved)))
    assert rule.match[2].message == rule.match[1].message


def test_a_folder_is_read_in_the_order_of_ids(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, OTHER, "engine-failed")
    (tmp_path / "README.md").write_text("not a rule", encoding="utf-8")
    (tmp_path / ".hidden.yaml").write_text("not a rule", encoding="utf-8")
    assert [rule.id for rule in rulebook.load(str(tmp_path))] == ["engine-failed", "length-above-model"]


def test_rules_may_stand_in_folders_by_topic(tmp_path: Path) -> None:
    for name in ("memory", "engine", ".hidden", "memory/deeper"):
        (tmp_path / name).mkdir()
    write(tmp_path / "memory", GOOD)
    write(tmp_path / "engine", OTHER, "engine-failed")
    write(tmp_path, OTHER, "apart")
    for name in ("topics.yaml", ".hidden/a.yaml", "memory/deeper/a.yaml", "memory/notes.md"):
        (tmp_path / name).write_text("not a rule", encoding="utf-8")
    names = ["apart.yaml", "engine/engine-failed.yaml", "memory/length-above-model.yaml"]
    assert rule_files(str(tmp_path)) == ([str(tmp_path / name) for name in names], [])


def test_the_same_name_under_two_topics(tmp_path: Path) -> None:
    for name in ("memory", "engine"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, OTHER, "engine-failed")
    first, second = (str(tmp_path / name / "engine-failed.yaml") for name in ("engine", "memory"))
    files, mistakes = rule_files(str(tmp_path))
    assert files == [first]
    assert [str(mistake) for mistake in mistakes] == [f"{second}: there is a rule of this name already: {first}"]


def test_more_files_than_anybody_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MAX_FILES", 1)
    write(tmp_path, OTHER, "engine-failed")
    assert rule_files(str(tmp_path))[1] == []
    write(tmp_path, GOOD)
    with pytest.raises(RuleError, match=r"there are 2 rule files \(\*\.yaml\) in this folder; 1 to 1 are read"):
        rulebook.load(str(tmp_path))


def test_mistakes_of_all_files_are_said_at_once(tmp_path: Path) -> None:
    write(tmp_path, changed("severity: fatal", "severity: bad"))
    write(tmp_path, OTHER.replace("severity: fatal", "severity: worse"), "engine-failed")
    write(tmp_path, OTHER, "third")
    (tmp_path / "fourth.yml").write_text("", encoding="utf-8")
    with pytest.raises(RuleError) as raised:
        rulebook.load(str(tmp_path))
    assert {Path(mistake.path).name for mistake in raised.value.mistakes} == {
        "length-above-model.yaml",
        "engine-failed.yaml",
        "third.yaml",
        "fourth.yml",
    }


def test_a_folder_that_is_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="No such file or directory"):
        rulebook.load(str(tmp_path / "none"))
    with pytest.raises(RuleError, match="there are 0 rule files"):
        rulebook.load(str(tmp_path))
    with pytest.raises(RuleError, match="no such file"):
        rulebook.load_file(str(tmp_path))


def test_a_link_to_no_rule(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("[engine-failed]", "[engin-failed]", 1))
    write(tmp_path, OTHER, "engine-failed")
    with pytest.raises(RuleError) as raised:
        rulebook.load(str(tmp_path))
    assert (
        str(raised.value)
        == f"{path}:{line_of(GOOD, 'explains')}: explains: there is no rule 'engin-failed'; did you mean 'engine-failed'?"
    )


def test_a_link_to_a_rule_beside(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write(tmp_path / "a", OTHER, "engine-failed")
    write(tmp_path / "b", GOOD)
    others = rulebook.load(str(tmp_path / "a"))
    with pytest.raises(RuleError, match="there is no rule 'engine-failed'"):
        rulebook.load(str(tmp_path / "b"))
    own = rulebook.load(str(tmp_path / "b"), beside=others)
    assert [rule.id for rule in rulebook.merge(others, own)] == ["engine-failed", "length-above-model"]


@pytest.mark.parametrize("field", ["explains", "before"])
def test_links_that_go_round(field: str, tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, OTHER.replace("symptom: yes", f"{field}: [length-above-model]"), "engine-failed")
    with pytest.raises(RuleError, match=f"{field}: goes round: .*engine-failed"):
        rulebook.load(str(tmp_path))


def test_an_own_rule_with_a_known_id_needs_override(tmp_path: Path) -> None:
    write(tmp_path, OTHER, "engine-failed")
    own = rulebook.load(str(tmp_path))
    known = [own[0]._replace(source="", severity="notice"), own[0]._replace(source="", id="another")]
    with pytest.raises(
        RuleError, match=r"engine-failed\.yaml:2: id: there is a rule 'engine-failed' already; .*--override"
    ):
        rulebook.merge(known, own)
    assert rulebook.merge(known, own, override=True) == (known[1], own[0])


def test_compiled_rules_are_the_same_without_examples(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, OTHER, "engine-failed")
    rules = rulebook.load(str(tmp_path))
    compiled = tmp_path / "compiled.json"
    compiled.write_text(rulebook.compile_book(rules), encoding="utf-8")
    unpacked = tuple(map(rulebook.complete, rulebook.load_compiled(str(compiled))))
    assert unpacked == tuple(rule._replace(matches=(), silent=(), source="") for rule in rules)
    assert str(tmp_path) not in compiled.read_text(encoding="utf-8")


def test_shipped_rules_come_compiled_where_there_is_a_compiled_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, OTHER, "engine-failed")
    (tmp_path / "rulebook.json").write_text(rulebook.compile_book(rulebook.load(str(tmp_path))), encoding="utf-8")
    monkeypatch.setattr("qvl_doctor.rulebook.book.PACKAGE", str(tmp_path))
    assert [rule.id for rule in rulebook.shipped()] == ["engine-failed"]


def test_shipped_rules_of_a_source_tree_are_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule with a source is a stranger's, and runs under a time limit."""
    (tmp_path / "package").mkdir()
    (tmp_path / "rules").mkdir()
    write(tmp_path / "rules", OTHER, "engine-failed")
    monkeypatch.setattr("qvl_doctor.rulebook.book.PACKAGE", str(tmp_path / "package"))
    assert rulebook.rules_folder() == str(tmp_path / "rules")
    assert [(rule.id, rule.source) for rule in rulebook.shipped()] == [("engine-failed", "")]
    (tmp_path / "package" / "rules").mkdir()
    assert rulebook.rules_folder() == str(tmp_path / "package" / "rules")


def test_many_compiled_rules_load_quickly(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, OTHER, "engine-failed")
    rule = rulebook.load(str(tmp_path))[1]
    path = tmp_path / "compiled.json"
    path.write_text(
        rulebook.compile_book([rule._replace(id=f"rule-{number}") for number in range(200)]), encoding="utf-8"
    )
    costs = []
    for _ in range(5):
        began = time.process_time()
        assert len(rulebook.load_compiled(str(path))) == 200
        costs.append(time.process_time() - began)
    assert min(costs) < 0.05  # 5 ms on an idle machine; this one may be shared


def test_the_schema_for_editors_knows_every_key(root: Path) -> None:
    from qvl_doctor.launch.pods.patches import PATCHES
    from qvl_doctor.rulebook.shapes import KEYS

    schema = json.loads((root / "docs/rule.schema.json").read_text(encoding="utf-8"))
    parts = {
        "a rule": schema,
        "a text": schema["$defs"]["text"],
        "a match item": schema["$defs"]["item"],
        "a fix": schema["$defs"]["fix"],
        "tests": schema["properties"]["tests"],
        "an example that matches": schema["$defs"]["matching"],
        "an example that stays silent": schema["$defs"]["silent"],
    }
    assert parts.keys() == KEYS.keys()
    for what, (required, optional) in KEYS.items():
        assert set(parts[what]["properties"]) == {*required, *optional}, what
        assert set(parts[what].get("required", ())) == set(required), what
        assert parts[what]["additionalProperties"] is False
    assert sorted(schema["$defs"]["change"]["properties"]["pod"]["enum"]) == list(PATCHES)
    assert tuple(schema["properties"]["check"]["enum"]) == CHECKS


def test_the_example_of_the_documentation_loads(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "qvl_doctor.rulebook.rulefile._remedies", lambda: frozenset(["releases_for_model_type", "name_of_function"])
    )
    text = (root / "docs/rules-format.md").read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    text = text.replace('zh: "…"', 'zh: "说明"').replace("[https://…]", "[https://docs.vllm.ai/en/latest/]")
    assert (
        rulebook.load_file(str(write(tmp_path, text, "max-model-len-above-model"))).fixes[0].remedy
        == "name_of_function"
    )


def test_an_observation_goes_with_values_and_facts(tmp_path: Path) -> None:
    item = "  - observation: gpu_taken\n    values: {taken: '>=1'}\n    facts: {gpu_count: '>=2'}\n"
    text = changed("  - message: 'asked", f"{item}  - message: 'asked").replace("{asked}", "{taken}", 2)
    found = mistakes(tmp_path, text)
    assert not [mistake for mistake in found if "match[1]." in mistake]
    rule, _ = read_rule(str(write(tmp_path, text)))
    assert rule
    item_read = rule.match[1]
    assert (item_read.observation, dict(item_read.values)) == ("gpu_taken", {"taken": ">=1"})
    assert (dict(item_read.facts), item_read.weight, item_read.literals) == ({"gpu_count": ">=2"}, 4, ())
