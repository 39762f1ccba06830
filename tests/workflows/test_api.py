"""The Python API as a stranger uses it: what docs/api.md shows runs, prints nothing, and says what went wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from program import RULES

from qvl_doctor.errors import InputError, UsageError
from qvl_doctor.workflows import environment, log, machine, manifest, plan

MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"


@pytest.fixture(autouse=True)
def _shipped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the YAML of all rules takes longer than everything else here."""
    monkeypatch.setattr("qvl_doctor.rulebook.shipped", lambda **_: RULES)


@pytest.fixture(autouse=True)
def _silent(capfd: pytest.CaptureFixture[str]) -> object:
    yield
    assert capfd.readouterr() == ("", "")


def test_a_log(fixtures: Path) -> None:
    path = str(fixtures / "failed/0.11.0-lora-rank.log")
    found = log.diagnose(path)
    assert (found.kind, found.verdict, found.source) == ("log", "failed", path)
    assert found.findings[0].role == "cause"
    assert "rank 64" in found.summary["en"]
    text = Path(path).read_text(encoding="utf-8")
    assert log.diagnose_text(text, source=path) == found
    ignored = log.diagnose(path, ignore={found.findings[0].rule})
    assert (ignored.verdict, ignored.ignored) == ("failed", (found.findings[0].rule,))


def test_a_log_beside_what_else_is_known(fixtures: Path) -> None:
    from qvl_doctor.workflows.asked import commands_of, known_of

    text = f"vllm serve {MODEL} --max-model-len 32768 --gpu-memory-utilisation 0.9"
    beside = log.Beside(command=commands_of(text)[0], known=known_of("RTX 4090"))
    found = log.diagnose(str(fixtures / "article/oom-9.03.log"), beside)
    assert {"unknown-flag", "oom-no-traceback"} & {each.rule for each in found.findings}
    assert found.command is not None


def test_bytes_are_handed_on_as_they_come(fixtures: Path) -> None:
    path = fixtures / "healthy/0.11.0-healthy-vl.log"
    seen: list[bytes] = []
    assert log.diagnose(str(path), tap=seen.append).verdict == "healthy"
    assert b"".join(seen) == path.read_bytes()


@pytest.mark.parametrize(
    ("text", "sentence"), [("", "x.log: is empty"), ("a letter to a friend\n", "x.log: not a vLLM log")]
)
def test_what_is_no_log(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        log.diagnose_text(text, source="x.log")


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        log.diagnose(str(tmp_path / "none.log"))


def test_how_long_a_start_takes(fixtures: Path) -> None:
    assert log.startup_s(str(fixtures / "healthy/0.11.0-healthy-vl.log")) > 0
    with pytest.raises(UsageError, match="shows no start"):
        log.startup_s(str(fixtures / "failed/0.11.0-lora-rank.log"))


@pytest.mark.parametrize(
    "command", [f"vllm serve {MODEL} --max-model-len 65536", ["vllm", "serve", MODEL, "--max-model-len", "65536"]]
)
def test_a_plan(command: str | list[str]) -> None:
    found = plan.diagnose(command, gpu="H100", vllm="0.11.0")
    assert (found.kind, found.verdict) == ("examined", "healthy")
    assert found.facts["kv_tokens"].value > 65536


def test_a_plan_that_cannot_be_computed_is_no_promise() -> None:
    found = plan.diagnose("vllm serve nobody/knows-this-13b", gpu="H100")
    assert found.verdict == "unknown"
    assert "nobody/knows-this-13b" in found.summary["en"]
    wrong = plan.diagnose("vllm serve nobody/knows-this-13b --served-model-name\\\n  x --max-model-len 8k", gpu="H100")
    assert "It will start" not in wrong.summary["en"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "no GPU given"),
        ({"gpu": "L44"}, "no GPU is known as L44"),
        ({"gpu": "L4", "vllm": "newest"}, "is not a release"),
        ({"gpu_memory": "much"}, "is not a size"),
        ({"gpu": "L4", "model_dir": "/nowhere/at/all"}, "/nowhere/at/all"),
    ],
)
def test_a_plan_that_was_asked_for_wrongly(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        plan.diagnose(f"vllm serve {MODEL}", **options)  # type: ignore[arg-type]


def test_text_without_a_command() -> None:
    with pytest.raises(UsageError, match="nothing in it starts vLLM"):
        plan.diagnose("ls -l\n", gpu="L4")


def test_a_manifest(fixtures: Path) -> None:
    text = (fixtures / "manifests/article-list.yaml").read_text(encoding="utf-8")
    found = manifest.diagnose(text, source="list.yaml")
    assert found.diagnosis.kind == "examined"
    assert found.diagnosis.findings
    assert found.file != text
    names = {each.rule for each in found.diagnosis.findings}
    nothing = manifest.diagnose(text, ignore=names)
    assert (nothing.diagnosis.verdict, nothing.diagnosis.findings) == (found.diagnosis.verdict, ())
    assert set(nothing.diagnosis.ignored) >= names
    assert nothing.file == ""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("a: 1\n", "nothing in it starts vLLM"), ("image: {{ .Values.image }}\n", "a Helm template")],
)
def test_what_is_no_manifest(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        manifest.diagnose(text)


def test_a_machine(tmp_path: Path) -> None:
    seen = machine.look(machine.Asked(only=frozenset({"host"})))
    found = machine.diagnose(seen)
    assert (found.kind, found.source) == ("examined", "this machine")
    assert {each.group for each in found.checks} >= {"host"}
    file = tmp_path / "env.json"
    from qvl_doctor.machine.export import dumps

    file.write_text(dumps(seen), encoding="utf-8")
    there = machine.diagnose(environment.read(str(file)), file=str(file))
    assert there.source == str(file)
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="is not an environment"):
        environment.read(str(file))


def test_the_page_shows_what_runs(root: Path, fixtures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (root / "docs/api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 3
    monkeypatch.chdir(fixtures)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/api.md", "exec"), names)  # noqa: S102 — it is our own page
