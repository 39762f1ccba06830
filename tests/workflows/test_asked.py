"""What options name: a GPU, its memory, a release, a command; each unit, each bound, each way to be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from qvl_doctor.errors import UsageError
from qvl_doctor.launch.command import LaunchError
from qvl_doctor.memory.units import GIB
from qvl_doctor.workflows.asked import commands_of, known_of, no_manifest


@pytest.mark.parametrize(
    ("memory", "gib"),
    [
        ("24", 24.0), ("24g", 24.0), ("24GB", 24.0), ("24 GiB", 24.0), (" 23.6543GiB ", 23.6543), ("24576m", 24.0),
        ("24576MB", 24.0), ("24576 MiB", 24.0), ("1", 1.0), ("1024M", 1.0), ("4096", 4096.0),
        ("0.99", None), ("1023M", None), ("4096.1", None), ("4097", None), ("23.65432", None), ("1234567M", None),
        ("24T", None), ("x24", None), ("24GiBx", None), ("-24", None), ("GiB", None),
    ],
)  # fmt: skip
def test_memory_of_a_gpu(memory: str, gib: float | None) -> None:
    if gib is None:
        with pytest.raises(UsageError) as wrong:
            known_of(gpu_memory=memory)
        assert (wrong.value.key, wrong.value.values["size"]) == ("error_plan.gpu_memory", memory)
        return
    found = known_of(gpu_memory=memory).gpu
    assert found is not None
    assert found.total_bytes == int(gib * GIB)


def test_a_gpu_and_its_memory() -> None:
    named, sized = known_of("L4").gpu, known_of("L4", "21GiB").gpu
    assert known_of().gpu is None
    assert named is not None
    assert sized is not None
    assert (sized.name, sized.capability, sized.total_bytes, sized.nominal) == (
        named.name,
        named.capability,
        21 * GIB,
        False,
    )


@pytest.mark.parametrize(
    ("name", "near", "far"),
    [
        ("H1000", "H100", "L4"),
        ("A10", "", ""),
        ("RTX 409", "RTX 4090", "H100"),
        # One sign in three is the least that is near.
        ("T44444", "T4", "H100"),
        ("zz", "L4, ", "?"),
    ],
)
def test_a_gpu_that_nobody_knows(name: str, near: str, far: str) -> None:
    if not near:
        assert known_of(name).gpu is not None
        return
    with pytest.raises(UsageError) as wrong:
        known_of(name)
    known = str(wrong.value.values["known"])
    assert near in f"{known}, "
    assert far not in known.split(", ")


@pytest.mark.parametrize(("release", "held"), [("", ""), ("0.11.0", "0.11.0"), ("0.11", "0.11"), ("latest", None)])
def test_a_release(release: str, held: str | None) -> None:
    if held is None:
        with pytest.raises(UsageError, match="latest"):
            known_of(vllm=release)
    else:
        assert known_of(vllm=release).release == held


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as wrong:
        known_of(model_dir=str(tmp_path / "none"))
    assert wrong.value.key == "error.said"


@pytest.mark.parametrize(
    ("words", "model"),
    [
        (["vllm", "serve", "m"], "m"),
        (["vllm serve m"], "m"),
        (["vllm", "serve", "a model"], "a model"),
        ("vllm serve m", "m"),
    ],
)
def test_one_word_with_blanks_is_a_command(words: str | list[str], model: str) -> None:
    assert [each.model for each in commands_of(words)] == [model]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("vllm serve 'a", "x.sh"),
        ("python -c 1", "x.sh"),
    ],
)
def test_a_text_without_a_command(text: str, shown: str) -> None:
    with pytest.raises(UsageError, match=shown):
        commands_of(text, path="x.sh")


@pytest.mark.parametrize(
    ("kind", "detail", "shown"),
    [
        ("no-command", "a" * 81, ": " + "a" * 80),
        ("no-command", "", ""),
        ("no-command", "a\nb ", ": a b"),
        ("unclosed-quote", "the secret", ""),
        ("no-command", "--api-key=0123456789abcdef0123", ": --api-key=***"),
    ],
)
def test_what_is_shown_of_what_cannot_be_read(kind: str, detail: str, shown: str) -> None:
    said = no_manifest(LaunchError(kind, detail=detail), "a: 1", "x.yaml").values["said"]
    bare = no_manifest(LaunchError(kind), "a: 1", "x.yaml").values["said"]
    assert said == {lang: f"{why}{shown}" for lang, why in dict(bare).items()}


@pytest.mark.parametrize(
    ("kind", "text", "key"),
    [
        ("no-command", "a: {{ b }}", "error_manifest.template"),
        ("no-command", "a: { b }", "error_plan.command"),
        ("too-large", "a: {{ b }}", "error_plan.command"),
        ("nul-byte", "a: {{ b }}", "error_plan.command"),
    ],
)
def test_a_template_is_named_where_it_may_be_the_reason(kind: str, text: str, key: str) -> None:
    assert no_manifest(LaunchError(kind), text, "x.yaml").key == key
