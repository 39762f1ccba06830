"""Problems of a command for a release. What releases accept was seen in their own parsers; see knowledge/flags.json."""

from __future__ import annotations

from pathlib import Path

import pytest

from qvl_doctor.launch.checking import check
from qvl_doctor.launch.command import Problem
from qvl_doctor.launch.reading import read

COMMANDS = Path(__file__).parents[2] / "fixtures" / "commands"


def problems(text: str | list[str], release: str) -> list[Problem]:
    return [problem for command in read(text, release) for problem in check(command, release)]


def only(words: str, release: str) -> Problem:
    (problem,) = problems("vllm serve m " + words, release)
    return problem


@pytest.mark.parametrize(
    ("words", "release", "kind", "expected"),
    [
        ("--swap-space 4", "0.18.0", "removed", {"last": "0.17.1", "replacement": ""}),
        ("--task embed", "0.13.0", "removed", {"last": "0.12.0", "replacement": "--runner"}),
        ("--device cuda", "0.10.0", "removed", {"last": "0.9.2", "replacement": ""}),
        (
            "--guided-decoding-backend auto",
            "0.12.0",
            "removed",
            {"last": "0.11.2", "replacement": "--structured-outputs-config.backend"},
        ),
        ("--disable-log-requests", "0.17.0", "removed", {"last": "0.16.0", "replacement": "--no-enable-log-requests"}),
        ("--disable-log-requests", "0.11.0", "deprecated", {"replacement": "--no-enable-log-requests"}),
        (
            "--guided-decoding-backend auto",
            "0.11.0",
            "deprecated",
            {"replacement": "--structured-outputs-config.backend"},
        ),
        ("--kv-cache-memory-bytes 1G", "0.9.0", "not-yet", {"first": "0.10.2"}),
        ("--max-model-length 4", "0.9.0", "unknown", {"replacement": "--max-model-len"}),
        ("--frobnicate", "0.9.0", "unknown", {"replacement": ""}),
        (
            "--max-num 4",
            "0.9.0",
            "ambiguous",
            {"expected": "--max-num-batched-tokens, --max-num-partial-prefills, --max-num-seqs"},
        ),
        # From 0.24 on argparse reads the old flag as the beginning of a new one.
        ("--device 0", "0.24.0", "taken-as", {"last": "0.9.2", "replacement": "--device-ids"}),
        ("--no-enable-prefix-caching", "0.6.0", "no-negative", {"first": "0.6.5"}),
        ("—max-num-seqs 4", "0.9.0", "typed-dash", {"replacement": "--max-num-seqs"}),
        ("--limit-mm-per-prompt image=1", "0.10.0", "pairs-refused", {"last": "0.9.2", "replacement": '{"image": 1}'}),
        (
            """--limit-mm-per-prompt '{"image": 1}'""",
            "0.8.4",
            "json-refused",
            {"first": "0.8.5", "replacement": "image=1"},
        ),
        ("--limit-mm-per-prompt image=one", "0.7.2", "wrong-type", {"expected": "pairs"}),
        ("--limit-mm-per-prompt '{image: 1}'", "0.11.0", "bad-json", {"replacement": ""}),
        ("""--limit-mm-per-prompt "{'image': 1}" """, "0.11.0", "bad-json", {"replacement": '{"image": 1}'}),
        ("--limit-mm-per-prompt '{“image”: 1}'", "0.11.0", "smart-quotes", {"replacement": '{"image": 1}'}),
        ("--served-model-name “x”", "0.11.0", "smart-quotes", {"replacement": "x"}),
        ("--limit-mm-per-prompt.image 1", "0.8.5", "dotted-not-yet", {"first": "0.9.0"}),
        ("--max-model-len.image 1", "0.11.0", "no-keys", {"flag": "--max-model-len.image"}),
        ("--limit-mm-per-prompt 3", "0.9.0", "bad-json", {}),
        ("--limit-mm-per-prompt image=one", "0.9.0", "wrong-type", {"expected": "pairs"}),
        ("--kv-transfer-config 3", "0.9.0", "bad-json", {}),
        ("""--kv-transfer-config '{"bytes": 80m}'""", "0.19.1", "bad-json", {}),
        # Up to 0.8.5 Python's own literals are read there, where true is no value.
        ("""--compilation-config '{"use_inductor": true}'""", "0.8.5", "bad-json", {}),
        ("-cc.level 3", "0.11.0", "not-yet", {"flag": "-cc", "first": "0.12.0", "replacement": "--compilation-config"}),
        (
            "--device-memory-utilization 0.9",
            "0.30.0",
            "not-yet",
            {"first": "0.31.0", "replacement": "--gpu-memory-utilization"},
        ),
        ("-ep", "0.9.0", "not-yet", {"first": "0.14.0", "replacement": "--enable-expert-parallel"}),
        ("--enable-chunk", "0.33.0", "ambiguous", {"expected": "--enable-chunked-mm-input, --enable-chunked-prefill"}),
        ("--max-model-len 4k", "0.8.3", "wrong-type", {"expected": "int"}),
        ("--max-model-len auto", "0.13.0", "wrong-type", {"expected": "size"}),
        ("--gpu-memory-utilization 90%", "0.9.0", "wrong-type", {"expected": "float"}),
        ("--max-model-len 1.5K", "0.9.0", "wrong-type", {"expected": "size"}),
        ("--dtype FLOAT16", "0.9.0", "wrong-choice", {"replacement": "float16"}),
        ("--port", "0.9.0", "missing-value", {"expected": "int"}),
        ("--served-model-name", "0.9.0", "missing-value", {"expected": "text"}),
        ("--enforce-eager true", "0.9.0", "unexpected-value", {"value": "true", "replacement": "--enforce-eager"}),
        ("--enable-chunked-prefill False", "0.8.5", "unexpected-value", {"replacement": "--no-enable-chunked-prefill"}),
        ("--enable-chunked-prefill maybe", "0.8.4", "stray-word", {"value": "maybe"}),
        ("n --port 1", "0.9.0", "stray-word", {"value": "n"}),
        ("--port 1 --dtype half --port 2", "0.9.0", "repeated", {"value": "1", "replacement": "2"}),
        ("""--hf-overrides '{"a": 1}' --hf-overrides.b 2""", "0.11.0", "json-and-dotted", {"value": '{"a": 1}'}),
        ("-tp2", "0.9.0", "words-in-one", {"flag": "--tensor-parallel-size", "value": "-tp2"}),
        ("'--port 8000'", "0.9.0", "words-in-one", {"flag": "--port", "value": "--port 8000"}),
    ],
)
def test_problems(words: str, release: str, kind: str, expected: dict[str, str]) -> None:
    problem = only(words, release)
    assert problem.kind == kind
    assert {key: getattr(problem, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("words", "release"),
    [
        ("--swap-space 4 --device cuda --task embed", "0.7.2"),
        ("--limit-mm-per-prompt image=1,video=0", "0.9.2"),
        ("""--limit-mm-per-prompt '{"image": 1}'""", "0.8.5"),
        ("""--limit-mm-per-prompt.image 1 --limit-mm-per-prompt.video 0""", "0.9.0"),
        ("--enable-chunked-prefill False", "0.8.4"),
        ("--enable-chunked-prefill", "0.8.4"),
        ("--no-enable-chunked-prefill", "0.8.5"),
        ("--disable-log-requests", "0.10.0"),
        ("--disable-log-requests --disable-auto-tool-choice", "0.33.0"),
        ("--max-model-len 32k --kv-cache-memory 4G", "0.10.2"),
        ("--max-model-len auto", "0.14.0"),
        ("-tp 2 -pp 2 -q awq", "0.6.0"),
        ("-O3", "0.9.0"),
        ("-O 3", "0.11.0"),
        ("""--compilation-config "{'level': 3}" """, "0.8.5"),
        ("-O3 -cc.cudagraph_mode NONE", "0.12.0"),
        ("--middleware a --middleware b", "0.9.0"),
        ("--hf-overrides some.module", "0.9.0"),
        ("--rope-scaling None", "0.9.0"),
        ("--api-key $KEY --port ${PORT} --max-model-len $(cat len) --seed {{ .Values.seed }}", "0.9.0"),
        ("""--kv-transfer-config '{"kv_connector": "x", "cpu_bytes_to_use": 80m}'""", "0.33.0"),
        ("--hf-token --port 1", "0.9.0"),
        ("--served-model-name a b", "0.6.0"),
        ("--moe-backend Deep-GEMM", "0.17.0"),
    ],
)
def test_what_a_release_accepts_is_no_problem(words: str, release: str) -> None:
    assert problems(f"vllm serve m {words}".replace("{{ .Values.seed }}", "'{{ .Values.seed }}'"), release) == []


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        ("--swap-space 4 --task embed --disable-log-requests", []),
        ("--limit-mm-per-prompt image=1 --enable-chunked-prefill False --max-model-len 4k", []),
        ("""--limit-mm-per-prompt '{"image": 1}'""", []),
        ("--limit-mm-per-prompt '{image: 1}' --port x --dtype", ["bad-json", "wrong-type", "missing-value"]),
        ("--frobnicate 1 --enforce-eager true --max-model-len 4x", ["unknown", "unexpected-value", "wrong-type"]),
    ],
)
def test_of_an_unknown_release_only_what_is_always_wrong_is_said(words: str, kinds: list[str]) -> None:
    assert [problem.kind for problem in problems(f"vllm serve m {words}", "")] == kinds


@pytest.mark.parametrize("release", ["latest", "nightly", "1.x", "0.7.2-custom build"])
def test_what_is_no_release_is_an_unknown_one(release: str) -> None:
    text = "vllm serve m --swap-space 4 --limit-mm-per-prompt image=1 --max-model-len 4x"
    assert problems(text, release) == problems(text, "")


@pytest.mark.parametrize(
    ("text", "release", "kinds"),
    [
        ("vllm serve --model m", "0.8.2", ["model-option"]),
        ("vllm serve --model m", "0.8.3", ["model-option"]),
        ("vllm serve --model m", "0.11.0", ["model-option"]),
        ("vllm serve --model m", "0.11.1", []),
        ("vllm serve --model=m", "0.8.2", ["model-option"]),
        ("vllm serve --model=m", "0.11.0", []),
        ("vllm serve --model m", "0.5.5", []),
        ("vllm serve --port 1", "0.9.0", ["no-model"]),
        ("vllm serve --config x.yaml", "0.9.0", []),
        ("python -m vllm.entrypoints.openai.api_server m", "0.9.0", ["positional-model"]),
        ("python -m vllm.entrypoints.openai.api_server --model m", "0.9.0", []),
        ("docker run vllm/vllm-openai --model m", "0.9.0", []),
    ],
)
def test_where_the_model_stands(text: str, release: str, kinds: list[str]) -> None:
    assert [problem.kind for problem in problems(text, release)] == kinds


def test_every_problem_says_where() -> None:
    text = "# a server\nvllm serve m \\\n  --swap-space 4 \\ # why\n  --dtype fp16"
    found = problems(text, "0.18.0")
    assert [(problem.kind, str(problem.place)) for problem in found] == [
        ("removed", "3:3"),
        ("comment-after-backslash", "3:18"),
        ("wrong-choice", "4:3"),
    ]
    assert [str(problem.place) for problem in problems(["vllm", "serve", "m", "--swap-space", "4"], "0.18.0")] == [
        "[3]"
    ]


def test_places_in_a_manifest() -> None:
    text = (COMMANDS / "article-deployment.yaml").read_text(encoding="utf-8")
    (problem,) = problems(text, "0.18.0")[:1]
    line = text.splitlines()[problem.place.line - 1]
    assert problem.kind == "pairs-refused"
    assert line[problem.place.column - 1 :] == '"--limit-mm-per-prompt"'
    script = (COMMANDS / "article-script.yaml").read_text(encoding="utf-8")
    problem = next(each for each in problems(script, "0.18.0") if each.flag == "--swap-space")
    assert script.splitlines()[problem.place.line - 1][problem.place.column - 1 :] == "--swap-space 20 \\"


def test_what_kubernetes_refuses() -> None:
    head = "kind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n    image: vllm/vllm-openai\n"
    text = f"{head}    args: [--model, m, --port, 8000]\n"
    (problem,) = problems(text, "0.9.0")
    assert (problem.kind, problem.value, str(problem.place)) == ("not-a-text", "8000", "7:32")
    (problem,) = problems(f"{head}    command: vllm serve m\n", "0.9.0")
    assert (problem.kind, str(problem.place)) == ("not-a-list", "7:14")


def test_the_articles_chatbot_command() -> None:
    found = problems((COMMANDS / "article-chatbot.sh").read_text(encoding="utf-8"), "0.7.2")
    assert {problem.kind for problem in found} == {"comment-after-backslash"}
    assert [problem.place.line for problem in found] == [6, 7, 8, 9, 10]


def test_a_release_older_than_the_table_is_an_unknown_one() -> None:
    """Each flag that the oldest release of the table has would else have come with it."""
    assert problems("vllm serve m --host 0.0.0.0 --port 8000 --trust-remote-code", "0.5.5") == []
    assert [problem.kind for problem in problems("vllm serve m --prot 8000", "0.5.5")] == ["unknown"]


@pytest.mark.parametrize("word", ["$VLLM_ADDITIONAL_ARGS", "${EXTRA}", "$(EXTRA)"])
def test_a_variable_may_be_flags_or_nothing(word: str) -> None:
    assert problems(f"vllm serve m --port 8000 --enforce-eager {word}", "0.11.0") == []


def test_vllm_omni_has_flags_of_its_own() -> None:
    assert problems("vllm serve m --omni --stage-init-timeout 300", "0.20.0") == []
    assert [problem.kind for problem in problems("vllm serve m --stage-init-timeout 300", "0.20.0")] == ["unknown"]
