"""Variables that change a start: those of other releases, of NCCL and Gloo, of PyTorch's allocator."""

from __future__ import annotations

from pathlib import Path

import pytest
from checking import report, rules, said, started

from qvl_doctor import knowledge
from qvl_doctor.machine import env_variables

SERVE = ("--", "vllm", "serve", "Qwen/Qwen2.5-VL-7B-Instruct")


def test_variables_of_other_releases() -> None:
    env = {
        "VLLM_USE_V1": "1",
        "VLLM_ATTENTION_BACKEND": "FLASHINFER",
        "VLLM_LOGGING_LEVL": "DEBUG",
        "VLLM_LOGGING_LEVEL": "DEBUG",
        "VLLM_SERVICE_HOST": "10.0.0.1",
        "VLLM_QWEN_PORT_8000_TCP_ADDR": "10.0.0.1",
        "VLLM_MODEL": "a variable of somebody's own script",
        "VLLM_PORT": "8001",
    }
    unknown = [text.rsplit(" ", 1)[1] for text in said(env_variables.unknown_variables(env, "0.19.0"))]
    assert unknown == ["VLLM_ATTENTION_BACKEND", "VLLM_LOGGING_LEVL", "VLLM_USE_V1"]
    unknown = [text.rsplit(" ", 1)[1] for text in said(env_variables.unknown_variables(env, "0.8.5"))]
    assert unknown == ["VLLM_LOGGING_LEVL"]
    assert said(env_variables.unknown_variables(env, "")) == []


def test_what_became_of_a_variable_is_told() -> None:
    env = {"VLLM_USE_V1": "1", "VLLM_LOGGING_LEVL": "DEBUG"}
    found = report("--only", "host", "--vllm", "0.19.0", "--", "vllm", "serve", "m", env=env)
    texts = " ".join(
        finding["why"]["en"] for finding in found["findings"] if finding["rule"] == "unknown-vllm-variable"
    )
    assert "last release that reads it is 0.11.0" in texts
    assert "VLLM_LOGGING_LEVEL is a variable of this release" in texts
    refused = report(
        "--only", "host", "--vllm", "0.19.0", "--", "vllm", "serve", "m", "--fail-on-environ-validation", env=env
    )
    assert "unknown-vllm-variable-refused" in rules(refused)
    assert "unknown-vllm-variable" not in rules(refused)


def test_the_table_of_variables_says_what_is_known() -> None:
    assert knowledge.variable("VLLM_ATTENTION_BACKEND") == ("0.6.0", "0.14.1")
    assert knowledge.reads_variable("VLLM_ATTENTION_BACKEND", "0.5.0")  # older than the first release that was read
    assert not knowledge.reads_variable("VLLM_ATTENTION_BACKEND", "0.15.0")
    assert knowledge.reads_variable("VLLM_USE_V1", "0.11.0.dev3+gabcdef0")  # between two releases: not certain
    assert knowledge.variable_near("VLLM_LOGGING_LEVEL", "0.19.0") == ""
    assert knowledge.quantization_minimum("fp8", "0.11.0") == 80
    assert knowledge.quantization_minimum("fp8", "0.14.1") == 75
    assert knowledge.quantization_minimum("bitsandbytes", "0.33.0") is None
    assert knowledge.quantization_minimum("no-such", "0.33.0") is None


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ("eth", True),
        ("=eth0", True),
        ("=eth", False),
        ("^docker", True),
        ("^eth,lo", False),
        ("^=eth0,lo", False),
        ("ib", False),
        ("=ib0,eth0", True),
    ],
)
def test_names_of_interfaces_as_nccl_reads_them(wanted: str, matches: bool, tmp_path: Path) -> None:
    for name in ("eth0", "lo"):
        (tmp_path / "sys/class/net" / name).mkdir(parents=True)
    found = said(env_variables.interfaces({"NCCL_SOCKET_IFNAME": wanted}, str(tmp_path)))
    assert not found if matches else found[0].startswith("Bootstrap : no socket interface found")


def test_an_interface_that_is_not_there_matters_to_several_gpus() -> None:
    env = {"NCCL_SOCKET_IFNAME": "nosuch7", "GLOO_SOCKET_IFNAME": "nosuch7"}
    found = report("--only", "host,command", "--vllm", "0.11.0", *SERVE, "--tensor-parallel-size", "2", env=env)
    assert "nccl-no-interface" in rules(found)
    assert not any("interface" in text or "address for" in text for text in started("vllm serve m", env=env))


def test_ways_between_gpus_that_are_switched_off() -> None:
    found = report("--only", "command", *SERVE, "-tp", "2", env={"NCCL_P2P_DISABLE": "1"})
    assert "nccl-ways-switched-off" in rules(found)
    assert "nccl-ways-switched-off" not in rules(report("--only", "command", *SERVE, env={"NCCL_P2P_DISABLE": "1"}))


@pytest.mark.parametrize(
    ("flags", "release", "words"),
    [
        ("--enable-sleep-mode", "0.11.0", "not compatible with memory pool"),
        ("--enable-sleep-mode", "0.20.1", ""),
        ("--enable-sleep-mode", "0.7.3", ""),
        (
            '--kv-transfer-config \'{"kv_connector": "NixlConnector"}\'',
            "0.21.0",
            "KV connector NixlConnector is incompatible",
        ),
        ('--kv-transfer-config \'{"kv_connector": "NixlConnector"}\'', "0.20.2", ""),
        ('--enable-sleep-mode --kv-transfer-config \'{"kv_connector": "NixlConnector"}\'', "0.21.0", ""),
        ("", "0.11.0", ""),
    ],
)
def test_expandable_segments(flags: str, release: str, words: str) -> None:
    env = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    found = [text for text in started(f"vllm serve m {flags}", env=env, release=release) if "xpandable" in text]
    assert (len(found) == 1 and words in found[0]) if words else not found


def test_what_the_command_itself_sets_counts() -> None:
    command = "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True vllm serve m --enable-sleep-mode"
    assert any("memory pool" in text for text in started(command))


@pytest.mark.parametrize("value", ["True", "0", ""])
def test_that_models_come_from_modelscope_is_no_version_of_its_package(value: str) -> None:
    facts = env_variables.facts_of({"VLLM_USE_MODELSCOPE": value})
    assert facts.get("from_modelscope") == ("yes" if value == "True" else None)
    assert "modelscope" not in facts
