"""Defaults by release agree with what vLLM's command line shows, and one value says which release is the newest."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from qvl_doctor import knowledge
from qvl_doctor.knowledge import behaviors, defaults, flag_table
from qvl_doctor.knowledge.releases import Release, at, newest, parse, plain
from qvl_doctor.versions import satisfies

RELEASES = list(knowledge.table("pins")["releases"])
#: Flag → what `defaults` says of it. Where the command line leaves a default open, the flag's table has none.
SHOWN: Mapping[str, Callable[[Release], object]] = {
    "--gpu-memory-utilization": lambda release: at(defaults.UTILIZATION, release),
    "--swap-space": lambda _: defaults.SWAP_GIB,
    "--port": lambda _: defaults.PORT,
    "--block-size": lambda _: defaults.BLOCK_SIZE,
    "--max-num-seqs": lambda _: defaults.SEQUENCES_V0,
}


@pytest.mark.parametrize("flag", SHOWN)
def test_a_default_that_the_command_line_shows(flag: str) -> None:
    seen = 0
    for name in RELEASES:
        option = flag_table.option(flag, name) if flag_table.has(flag, name) else None
        if option is not None and option.default not in {None, "?"}:
            assert option.default == SHOWN[flag](parse(name) or newest()), (flag, name)
            seen += 1
    assert seen


@pytest.mark.parametrize(
    ("table", "before", "since", "old", "new"),
    [
        (defaults.UTILIZATION, (0, 19, 1), (0, 20, 0), 0.9, 0.92),
        (defaults.ENGINE, (0, 7, 3), (0, 8, 0), "V0", "V1"),
        (defaults.MULTIMODAL_BATCH, (0, 6, 2), (0, 6, 3), 4096, 5120),
        (defaults.CHUNKED_BATCH, (0, 6, 4), (0, 6, 5), 512, 2048),
        (defaults.SMALL_GPUS, (0, 8, 3), (0, 8, 4), defaults.Batch(2048, 8192, 1024), defaults.Batch(2048, 8192, 256)),
        (defaults.HUGE_GPUS, (0, 27, 1), (0, 28, 0), at(defaults.LARGE_GPUS, (0, 28, 0)), defaults.Batch(16384, 16384, 1024)),
    ],
)  # fmt: skip
def test_both_sides_of_each_change(table: Any, before: Release, since: Release, old: object, new: object) -> None:
    assert (at(table, before), at(table, since)) == (old, new)


def test_the_swap_space_went_with_the_release_that_dropped_its_flag() -> None:
    last = flag_table.option("--swap-space", "0.17.1")
    assert last is not None
    assert not flag_table.has("--swap-space", plain(defaults.SWAP_WENT))


def test_the_newest_release_is_said_once() -> None:
    name = RELEASES[-1]
    assert (knowledge.newest_vllm(), plain(newest())) == (name, name)
    folder = Path(knowledge.__file__).parent
    for path in sorted(folder.glob("*.json")):
        source = json.loads(path.read_text(encoding="utf-8")).get("source", "")
        assert "vLLM's published sources" not in source or name in source, path.name
    said = {
        path.name
        for path in folder.parent.rglob("*.py")
        if path.parent != folder
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Constant) and node.value == name)
        or (isinstance(node, ast.Tuple) and ast.unparse(node) == str(newest()))
    }
    assert said == set()


def test_every_cuda_that_a_release_is_built_for_has_an_oldest_driver() -> None:
    majors = {pin["cuda"].partition(".")[0] for pin in knowledge.table("pins")["releases"].values()}
    assert majors <= set(knowledge.table("cuda")["drivers"])


RANGES = {name: asked for name, asked in vars(behaviors).items() if name.isupper()}


@pytest.mark.parametrize("name", RANGES)
def test_a_range_of_releases_has_releases_on_both_sides(name: str) -> None:
    releases = [*RELEASES, "2.0"] if name == "TORCH_NEEDS_USER" else RELEASES
    assert {satisfies(release, RANGES[name]) for release in [*releases, "99.0"]} == {True, False}


def test_ranks_of_adapters() -> None:
    assert 320 not in at(defaults.LORA_RANKS, (0, 7, 3))
    assert 320 in at(defaults.LORA_RANKS, (0, 8, 0))
