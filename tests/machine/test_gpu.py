"""What `check` says of GPUs, through NVIDIA's own binding.

On a library of ours that answers as described, and on the genuine one.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from checking import SERVE, doctor, evidence, probed, report, rules
from hypothesis import given
from hypothesis import strategies as st
from nvml.fixtures import A10, A100, RTX_4090, V100, Describe, every_pair, instance
from nvml.genuine import genuine_nvml  # noqa: F401  # a fixture
from program import RULES, apart

from qvl_doctor.machine.cuda_visible import choose
from qvl_doctor.machine.nvml import FAILURES, instead

COMMAND = ("gpu,command", *SERVE[1:])


def test_two_cards_of_which_one_is_taken(nvml: Describe) -> None:
    taken = {**RTX_4090, "used": 18381, "processes": [{"pid": 698854, "used": 18381}]}
    found = report(
        "--only", "gpu,command", "--vllm", "0.11.0", *SERVE, env=nvml([taken, {**RTX_4090, "uuid": "GPU-other"}])
    )
    assert found["facts"]["memory"]["total_gib"] == 23.65  # as torch counts: without what the driver reserves
    assert found["facts"]["memory"]["gpu_count"] == 2
    assert found["facts"]["driver"] == "550.54.14"
    assert rules(found)[0] == "gpu-memory-not-free"
    said = evidence(found, "gpu-taken-by-others")
    assert "17.95 GiB" in said
    assert "host process 698854" in said
    assert {check["name"]: check["status"] for check in found["checks"]}["gpu_memory"] == "problem"


@pytest.mark.parametrize(("visible", "free"), [("1", True), ("GPU-other", True), ("0,1", False), (None, False)])
def test_the_free_card_is_the_one_that_counts_where_it_is_chosen(
    nvml: Describe, visible: str | None, free: bool
) -> None:
    cards = [{**RTX_4090, "used": 18381}, {**RTX_4090, "uuid": "GPU-other"}]
    found = probed(
        *COMMAND, vllm="0.11.0", env={**nvml(cards), **({"CUDA_VISIBLE_DEVICES": visible} if visible else {})}
    )
    assert ("gpu-memory-not-free" not in rules(found)) is free
    assert ("gpu-taken-by-others" not in rules(found)) is free  # what others do on a card that is not used is no news


def test_every_card_of_the_command_must_be_free(nvml: Describe) -> None:
    cards = [RTX_4090, {**RTX_4090, "uuid": "GPU-other", "used": 18381}]
    assert "gpu-memory-not-free" not in rules(probed(*COMMAND, vllm="0.11.0", env=nvml(cards)))
    assert "gpu-memory-not-free" in rules(
        probed(*COMMAND, "--tensor-parallel-size", "2", vllm="0.11.0", env=nvml(cards))
    )


def test_two_free_cards_fit_the_command(nvml: Describe) -> None:
    cards = [RTX_4090, {**RTX_4090, "uuid": "GPU-other"}]
    found = probed(
        *COMMAND, "--tensor-parallel-size", "2", vllm="0.11.0", env=nvml(cards, links=every_pair(2, p2p=0, level=40))
    )
    assert found["verdict"] in {"healthy", "degraded"}
    assert not {"not-enough-gpus", "custom-all-reduce-off"} & set(rules(found))
    assert found["facts"]["gpu_links"] == "p2p"
    assert found["facts"]["gpu_topology"] == "NODE"


@pytest.mark.parametrize(
    ("sizes", "link", "joined", "off"),
    [
        ((2, 2), {"nvlink": 1}, "nvlink", False),
        ((2, 2), {"p2p": 3}, "no-p2p", True),  # 3: not through this chipset
        ((4, 4), {"p2p": 0}, "p2p", True),
        ((4, 4), {"nvlink": 1}, "nvlink", False),
        ((3, 3), {"nvlink": 1}, "nvlink", True),  # no all-reduce of vLLM's own for three
        ((4, 2), {"p2p": 0}, "p2p", False),  # only the cards that work on one layer count
    ],
)
def test_how_cards_are_joined(
    nvml: Describe, sizes: tuple[int, int], link: dict[str, int], joined: str, off: bool
) -> None:
    count, tp = sizes
    cards = [{**A10, "uuid": f"GPU-{number}"} for number in range(count)]
    words = (*COMMAND, "--tensor-parallel-size", str(tp))
    found = probed(*words, vllm="0.11.0", env=nvml(cards, links=every_pair(count, level=50, **link)))
    assert found["facts"]["gpu_links"] == joined
    assert found["facts"]["gpu_topology"] == "SYS"
    assert ("custom-all-reduce-off" in rules(found)) is off
    silenced = probed(
        *words, "--disable-custom-all-reduce", vllm="0.11.0", env=nvml(cards, links=every_pair(count, **link))
    )
    assert "custom-all-reduce-off" not in rules(silenced)


def test_more_gpus_asked_than_there_are(nvml: Describe) -> None:
    found = probed(
        *COMMAND, "--tensor-parallel-size", "4", vllm="0.11.0", env=nvml([RTX_4090, {**RTX_4090, "uuid": "GPU-other"}])
    )
    assert "not-enough-gpus" in rules(found)


def test_more_gpus_asked_than_are_visible(nvml: Describe) -> None:
    env = {**nvml([RTX_4090, {**RTX_4090, "uuid": "GPU-other"}]), "CUDA_VISIBLE_DEVICES": "1"}
    found = probed(*COMMAND, "--tensor-parallel-size", "2", vllm="0.11.0", env=env)
    assert "sees 1" in evidence(found, "not-enough-gpus")


def test_a_v100_does_not_compute_in_bfloat16(nvml: Describe) -> None:
    found = probed(*COMMAND, "--dtype", "bfloat16", vllm="0.8.5", env=nvml([{**V100, "ecc": 2}]))
    assert {"bfloat16-unsupported-gpu", "gpu-ecc-errors"} <= set(rules(found))
    assert found["facts"]["compute_capability"] == "7.0"


@pytest.mark.parametrize(
    ("card", "vllm", "flags", "rule"),
    [
        (V100, "0.11.0", ("--quantization", "fp8"), "quantization-unsupported-gpu"),
        (V100, "0.14.0", ("--quantization", "fp8"), "quantization-unsupported-gpu"),
        ({**V100, "capability": [7, 5]}, "0.14.0", ("--quantization", "fp8"), "fp8-weights-save-memory-only"),
        (A10, "0.11.0", ("--quantization", "fp8"), "fp8-weights-save-memory-only"),
        (A10, "0.11.0", ("--kv-cache-dtype", "fp8"), "kv-cache-fp8-old-gpu"),
        (A10, "0.8.5", ("--kv-cache-dtype", "fp8"), ""),  # the V0 engine takes over, whose kernels can
        (RTX_4090, "0.11.0", ("--quantization", "fp8", "--kv-cache-dtype", "fp8"), ""),
    ],
    ids=str,
)
def test_what_a_card_cannot_compute_in(
    nvml: Describe, card: dict[str, Any], vllm: str, flags: tuple[str, ...], rule: str
) -> None:
    found = probed(*COMMAND, *flags, vllm=vllm, env=nvml([card]))
    about = {"quantization-unsupported-gpu", "fp8-weights-save-memory-only", "kv-cache-fp8-old-gpu"} & set(rules(found))
    assert about == ({rule} if rule else set())


#: A card as a container sees it that was given its instances: the card itself may not be asked for its memory.
DIVIDED = {
    **A100,
    "mig": 1,
    "fail": {"nvmlDeviceGetMemoryInfo": 4, "nvmlDeviceGetComputeRunningProcesses": 4},
    "instances": [instance("1g.5gb", "MIG-1g", 4.75, 1), instance("3g.20gb", "MIG-3g", 19.5, 2, used=10240)],
}


def test_a_card_in_instances(nvml: Describe) -> None:
    found = probed("gpu", env=nvml([DIVIDED]))
    assert set(rules(found)) == {"gpu-in-mig-mode", "gpu-taken-by-others"}
    assert "MIG 3g.20gb (MIG-3g)" in evidence(found, "gpu-in-mig-mode")
    assert "GPU 0, instance 2: 10.00 GiB" in evidence(found, "gpu-taken-by-others")
    assert found["facts"]["gpu_name"] == "NVIDIA A100-SXM4-40GB MIG 1g.5gb"  # the first, as CUDA takes it
    assert found["facts"]["memory"]["total_gib"] == 4.75


def test_the_instance_that_is_named(nvml: Describe) -> None:
    found = probed(*COMMAND, vllm="0.11.0", env={**nvml([DIVIDED]), "CUDA_VISIBLE_DEVICES": "MIG-3g"})
    assert found["facts"]["memory"]["total_gib"] == 19.5
    assert found["facts"]["memory"]["startup_free_gib"] == 9.5
    assert {"gpu-memory-not-free", "cuda-visible-devices-uuid"} <= set(rules(found))
    newer = probed(*COMMAND, vllm="0.33.0", env={**nvml([DIVIDED]), "CUDA_VISIBLE_DEVICES": "MIG-3g"})
    assert "cuda-visible-devices-uuid" not in rules(newer)
    assert "mig-instance-number-as-card" in rules(newer)  # its number is 2, and there is one card


def test_instances_cannot_be_joined(nvml: Describe) -> None:
    found = probed(*COMMAND, "--tensor-parallel-size", "2", vllm="0.11.0", env=nvml([DIVIDED]))
    assert "mig-instances-not-joined" in rules(found)
    assert "not-enough-gpus" not in rules(found)


def test_a_card_that_is_divided_into_nothing(nvml: Describe) -> None:
    found = probed("gpu", env=nvml([{**A100, "mig": 1}]))
    assert rules(found) == ["mig-without-instance"]
    assert found["facts"]["memory"]["gpu_visible"] == 0


def test_a_card_without_instances_beside_one_that_can_be_used(nvml: Describe) -> None:
    found = probed("gpu", env=nvml([{**A100, "mig": 1}, {**A100, "uuid": "GPU-whole"}]))
    assert rules(found) == ["gpu-in-mig-mode"]
    assert found["facts"]["memory"]["gpu_visible"] == 1
    assert found["facts"]["memory"]["total_gib"] > 0


def test_memory_that_the_card_shares_with_the_host(nvml: Describe) -> None:
    found = probed("gpu", env=nvml([{**RTX_4090, "fail": {"nvmlDeviceGetMemoryInfo": 3}}]))
    assert rules(found) == ["gpu-memory-shared-with-host"]


@pytest.mark.parametrize(
    "fault", [{"fail": {"nvmlDeviceGetHandleByIndex": 15}}, {"fail": {"*": 15}}, {"fail": {"*": 16}}]
)
def test_a_lost_card_does_not_hide_the_others(nvml: Describe, fault: dict[str, Any]) -> None:
    found = probed("gpu", env=nvml([RTX_4090, {**RTX_4090, "uuid": "GPU-lost", **fault}]))
    assert rules(found)[0] == "gpu-not-answering"
    assert found["facts"]["memory"]["total_gib"] == 23.65


def test_what_may_not_be_asked_is_not_called_broken(nvml: Describe) -> None:
    found = probed("gpu", env=nvml([{**RTX_4090, "fail": {"nvmlDeviceGetMemoryInfo": 4}}]))
    assert rules(found) == ["gpu-not-permitted"]
    assert {check["name"]: check["status"] for check in found["checks"]}["gpu_memory"] == "unknown"


@pytest.mark.parametrize(
    ("health", "rule"),
    [
        ({"ecc": 0, "remapped": [0, 0], "clocks": 1, "retired_pending": 0}, ""),
        ({"clocks": 4 | 8}, ""),  # a power limit under load, and a change of clocks
        ({"clocks": 0x40 | 8}, "gpu-clocks-held-down"),
        ({"persistence": 1}, ""),
        ({"persistence": 0}, "gpu-persistence-off"),
        ({"remapped": [1, 0]}, "gpu-memory-repair-pending"),
        ({"retired_pending": 1}, "gpu-memory-repair-pending"),
        ({"remapped": [1, 1]}, "gpu-memory-repair-failed"),
        ({"ecc": 7}, "gpu-ecc-errors"),
    ],
    ids=str,
)
def test_the_health_of_a_card(nvml: Describe, health: dict[str, Any], rule: str) -> None:
    assert rules(probed("gpu", env=nvml([{**A10, **health}]))) == ([rule] if rule else [])


@pytest.mark.parametrize(
    ("code", "fact", "rule"),
    [
        (4, "no-permission", "nvml-not-permitted"),
        (9, "driver-not-loaded", "nvidia-driver-missing"),
        (15, "gpu-lost", "nvml-not-started"),
        (16, "reset-required", "nvml-not-started"),
        (17, "blocked-by-system", "nvml-not-permitted"),
        (18, "version-mismatch", "driver-library-mismatch"),
        (21, "error-21", "nvml-not-started"),
        (999, "unknown-error", "cuda-unknown-error"),
    ],
)
def test_every_way_in_which_nvml_fails_is_told_apart(nvml: Describe, code: int, fact: str, rule: str) -> None:
    found = probed("gpu", env=nvml([], fail={"nvmlInit": code}))
    assert found["facts"]["nvml"] == fact
    assert rules(found) == [rule]
    assert {check["name"]: check["status"] for check in found["checks"]}["driver"] == "problem"


def test_no_failure_of_nvml_is_without_a_rule() -> None:
    asked = [item.facts["nvml"] for rule in RULES for item in rule.match if "nvml" in item.facts]
    for fact in {*FAILURES.values(), "error-77"}:
        assert any(re.fullmatch(pattern, fact) for pattern in asked), fact


def test_no_library_at_all() -> None:
    found = probed("gpu")
    if found["facts"]["nvml"] == "ok":
        pytest.skip("this machine has a driver")
    assert found["facts"]["nvml"] == "library-missing"
    assert rules(found) == ["nvidia-driver-missing"]


def test_a_file_that_is_no_library(tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").touch()  # what a container gets whose driver was not mounted
    assert probed("gpu", env={"LD_LIBRARY_PATH": str(tmp_path)})["facts"]["nvml"] == "library-missing"


def test_a_container_that_was_given_no_gpu(nvml: Describe) -> None:
    failed = nvml([], fail={"nvmlInit": 9})
    assert "container-without-gpus" in rules(probed("gpu", env={**failed, "NVIDIA_VISIBLE_DEVICES": "void"}))
    # Devices that are handed in by CDI come with void as well.
    assert "container-without-gpus" not in rules(probed("gpu", env={**nvml([A10]), "NVIDIA_VISIBLE_DEVICES": "void"}))


@pytest.mark.parametrize(
    ("files", "for_cpu", "word"),
    [
        ((), False, "library-missing"),
        ((), True, "not-needed"),
        (("dev/kfd",), False, "amd"),
        (("etc/nv_tegra_release",), False, "jetson"),
    ],
)
def test_a_machine_without_nvidia_that_is_not_broken(
    tmp_path: Path, files: tuple[str, ...], for_cpu: bool, word: str
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert instead("library-missing", str(tmp_path), for_cpu=for_cpu) == word
    assert instead("version-mismatch", str(tmp_path), for_cpu=True) == "not-needed"


def test_graphics_of_amd_beside_a_card_of_nvidia_without_its_driver(tmp_path: Path) -> None:
    tree = {
        "dev/kfd": "",
        "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
        "sys/bus/pci/devices/0000:01:00.0/class": "0x030000\n",
    }
    for name, text in tree.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert instead("driver-not-loaded", str(tmp_path), for_cpu=False) == "driver-not-loaded"
    (tmp_path / "sys/bus/pci/devices/0000:01:00.0/class").write_text("0x040300\n")  # its sound alone
    assert instead("driver-not-loaded", str(tmp_path), for_cpu=False) == "amd"


def test_vllm_for_cpus_needs_no_driver() -> None:
    found = probed("gpu", vllm="0.11.0+cpu")
    assert found["facts"]["nvml"] in {"not-needed", "ok"}
    assert "nvidia-driver-missing" not in rules(found)


def test_a_driver_without_the_newer_calls(nvml: Describe) -> None:
    card = {**RTX_4090, "used": 2048, "processes": [{"pid": 7}]}
    found = probed("gpu", env=nvml([card], old=True, driver="470.256.02", cuda=11040))
    assert found["facts"]["nvml"] == "ok"
    assert found["facts"]["driver_cuda"] == "11.4"
    assert found["facts"]["memory"]["total_gib"] == 23.99  # such a driver does not say what it reserves
    assert "host process 7 (size unknown)" in evidence(found, "gpu-taken-by-others")


def test_cards_of_different_kinds(nvml: Describe) -> None:
    env = nvml([RTX_4090, A10])
    assert "gpus-of-different-kinds" in rules(probed("gpu", env=env))
    assert "gpus-of-different-kinds" not in rules(probed("gpu", env={**env, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}))


@pytest.mark.parametrize(
    ("said", "visible", "expected"),
    [
        ("0,7", 1, {"cuda-visible-devices-wrong"}),
        ("7", 0, {"cuda-visible-devices-wrong", "no-cuda-gpu"}),
        ("0,0", 0, {"cuda-visible-devices-wrong", "no-cuda-gpu"}),
        ("GPU-4090", 1, {"cuda-visible-devices-uuid"}),
        ("GPU-nobody", 0, {"cuda-visible-devices-uuid", "cuda-visible-devices-wrong", "no-cuda-gpu"}),
        ("1,0", 2, set()),
    ],
)
def test_a_list_of_visible_devices(nvml: Describe, said: str, visible: int, expected: set[str]) -> None:
    cards = [RTX_4090, {**RTX_4090, "uuid": "GPU-other"}]
    found = probed("gpu", vllm="0.11.0", env={**nvml(cards), "CUDA_VISIBLE_DEVICES": said})
    assert set(rules(found)) == expected
    assert found["facts"]["memory"]["gpu_visible"] == visible


CARDS = {0: "GPU-aa11", 1: "GPU-aa22", 2: "GPU-bb33"}
INSTANCES = {"MIG-1": 2, "MIG-2": 2}


@pytest.mark.parametrize(
    ("said", "cards"),
    [
        (None, (0, 1, 2)),
        ("", ()),
        ("-1", ()),
        ("2, 0", (2, 0)),
        ("0,-1,1", (0,)),  # a negative number ends the list
        ("0,1gpu", (0, 1)),  # read as a number as far as it is one
        ("0,GPU-bb33", (0,)),  # one kind of name for the whole list
        ("GPU-bb,GPU-aa1", (2, 0)),
        ("GPU-aa", ()),  # whose?
        ("MIG-1", (2,)),
        ("MIG-GPU-bb33/1/0", ()),
    ],
)
def test_visible_devices_are_read_as_torch_reads_them(said: str | None, cards: tuple[int, ...]) -> None:
    assert choose(said, CARDS, INSTANCES).gpus == cards


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from([*"0123-+", "GPU-aa11", "GPU-a", "MIG-1", ""]), max_size=6).map(",".join)
)
def test_whatever_the_list_says_only_cards_that_are_there_are_visible(said: str) -> None:
    found = choose(said, CARDS, INSTANCES)
    assert set(found.gpus) <= set(CARDS)
    assert len(set(found.gpus)) == len(found.gpus)


@pytest.mark.slow
def test_the_genuine_library_without_a_driver(genuine_nvml: str) -> None:  # noqa: F811
    done = apart("check", "--only", "gpu", "--format", "json", env={"LD_LIBRARY_PATH": genuine_nvml})
    found = json.loads(done.stdout)
    assert found["facts"]["nvml"] == "driver-not-loaded"
    assert rules(found) == ["nvidia-driver-missing"]


def test_a_lone_card_says_nothing_of_links_and_is_well(nvml: Describe) -> None:
    done = doctor("--only", "gpu", env=nvml([{**A10, "ecc": 0}]))
    assert done.returncode == 0
    assert "gpu_links" not in done.stdout
