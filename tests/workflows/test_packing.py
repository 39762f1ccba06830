"""What is packed of a command and of reports, and what a plan is told beside its numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from bundle.packing import unpacked
from program import RULES

from qvl_doctor.bundle.archive import Archive, Entry
from qvl_doctor.memory import model_cards
from qvl_doctor.messages import both
from qvl_doctor.workflows import bundle, plan
from qvl_doctor.workflows.asked import commands_of, known_of

KEY = "Zk3v9QxT71pLmN8s2RwB"


def packed(case: bundle.Case) -> tuple[dict[str, str], Sequence[Entry]]:
    file = io.BytesIO()
    with closing(Archive(file)) as archive:
        bundle.pack(archive, case, rules=RULES)
    return unpacked(file), archive.entries


@pytest.mark.parametrize(
    ("command", "masked"),
    [
        ("vllm serve m", 0),
        (f"vllm serve m --api-key {KEY}", 1),
        # Stars that the user wrote are no masks of ours.
        (f"vllm serve m --served-model-name *** --api-key {KEY}", 1),
        (f"vllm serve m --hf-token {KEY}x --api-key {KEY}", 2),
        ("vllm serve m --api-key ***", 0),
        # A secret with stars in it is one secret.
        ("vllm serve m --api-key ***abcdefgh12345678***", 0),
    ],
)
def test_how_many_secrets_of_a_command_were_masked(command: str, masked: int) -> None:
    files, entries = packed(bundle.Case(command=command))
    assert KEY not in "".join(files.values())
    assert [each.masked for each in entries if each.name == "command/command.sh"] == [masked]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["vllm", "serve", "a model"], "vllm serve 'a model'\n"),
        (["vllm serve m"], "vllm serve m\n"),
        ("vllm serve m", "vllm serve m\n"),
        ("vllm serve m\n", "vllm serve m\n"),
    ],
)
def test_a_command_is_packed_as_it_was_given(words: str | list[str], text: str) -> None:
    assert packed(bundle.Case(command=words))[0]["command/command.sh"] == text


def test_reports_are_a_page_wide_and_in_three_formats(fixtures: Path) -> None:
    files, _ = packed(bundle.Case(logs=[str(fixtures / "article/oom-9.03.log")]))
    assert {name for name in files if name.startswith("reports/")} == {
        "reports/oom-9.03.txt",
        "reports/oom-9.03.md",
        "reports/oom-9.03.json",
    }
    assert max(map(len, files["reports/oom-9.03.txt"].splitlines())) in {99, 100}


@pytest.mark.parametrize(
    ("gpu", "notes"), [("L4", set[str]()), ("DGX Spark", {"shared"}), ("Jetson AGX Orin 64GB", {"nominal", "shared"})]
)
@pytest.mark.parametrize("quantization", ["awq", "of-tomorrow"])
def test_what_a_plan_is_told_of_a_gpu_and_a_checkpoint(gpu: str, notes: set[str], quantization: str) -> None:
    (command,) = commands_of("vllm serve Qwen/Qwen2.5-7B-Instruct --max-model-len 8192", "0.11.0")
    card = model_cards.find("Qwen/Qwen2.5-7B-Instruct")
    assert card is not None
    known = known_of(gpu, vllm="0.11.0")._replace(shape=card.shape, quantization=quantization)
    found = plan.plan_command(command, known, RULES).not_checked
    wanted = notes | ({"quantization"} if quantization == "of-tomorrow" else set())
    assert {key for key in ("nominal", "shared", "quantization") if both(f"plan.{key}") in found} == wanted
