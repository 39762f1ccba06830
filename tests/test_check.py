"""`qvl-doctor check`, end to end: this machine, GPUs as NVML shows them, broken environments and model folders, files of other machines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl_doctor.model import Fact, Seen
from qvl_doctor.observations import MACHINE, observe
from qvl_doctor.probe import imports, packages
from qvl_doctor.probe.export import EnvironmentFileError, dumps, loads

SOURCE = Path(__file__).parent / "nvml" / "nvml.c"
#: The card of the article: 24564 MiB as NVML counts, of which 347 are the driver's, and what another process holds.
RTX_4090 = {"name": "NVIDIA GeForce RTX 4090", "total": 24564, "reserved": 347, "used": 0, "major": 8, "minor": 9}
SERVE = ("--", "vllm", "serve", "Qwen/Qwen2.5-VL-7B-Instruct", "--max-model-len", "8192", "--limit-mm-per-prompt", '{"video": 0}')


def doctor(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.endswith(("_proxy", "_PROXY"))}
    words = [sys.executable, "-m", "qvl_doctor", "check", *arguments]
    return subprocess.run(
        words, capture_output=True, text=True, env={**plain, "NO_COLOR": "1", "LANG": "C.UTF-8", **(env or {})}, check=False
    )


def report(*arguments: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    done = doctor("--format", "json", *arguments, env=env)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rules(found: Mapping[str, Any]) -> list[str]:
    return [finding["rule"] for finding in found["findings"]]


@pytest.fixture(scope="session")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function that gives the environment in which NVML shows the cards of a description."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to build the library that stands in for NVML")
    folder = tmp_path_factory.mktemp("nvml")

    def described(cards: list[dict[str, Any]], *, old: bool = False, **system: Any) -> dict[str, str]:
        built = folder / ("old" if old else "new")
        if not (built / "libnvidia-ml.so.1").exists():
            built.mkdir()
            flags = ["-DOLD_DRIVER"] if old else []
            words = [
                compiler,
                "-shared",
                "-fPIC",
                "-O1",
                *flags,
                "-Wl,-soname,libnvidia-ml.so.1",
                "-o",
                str(built / "libnvidia-ml.so.1"),
                str(SOURCE),
            ]
            subprocess.run(words, check=True)
        lines = [f"{name}={value}" for name, value in {"driver": "550.54.14", "count": len(cards), **system}.items()]
        lines += [f"{index}.{name}={value}" for index, card in enumerate(cards) for name, value in card.items()]
        file = folder / f"{abs(hash(tuple(lines)))}.txt"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return {"LD_LIBRARY_PATH": str(built), "NVML_DESCRIPTION": str(file)}

    return described


def test_two_cards_of_which_one_is_taken(nvml: Any) -> None:
    taken = {**RTX_4090, "used": 18381, "pid": 698854}
    found = report("--only", "gpu,command", "--vllm", "0.11.0", *SERVE, env=nvml([taken, RTX_4090]))
    assert found["facts"]["memory"]["total_gib"] == 23.65  # as torch counts: without what the driver reserves
    assert found["facts"]["memory"]["gpu_count"] == 2
    assert found["facts"]["driver"] == "550.54.14"
    assert rules(found)[0] == "gpu-memory-not-free"
    taken_finding = next(finding for finding in found["findings"] if finding["rule"] == "gpu-taken-by-others")
    assert "17.95 GiB" in taken_finding["title"]["en"]
    assert "host process 698854" in taken_finding["evidence"][0]["text"]
    assert {check["name"]: check["status"] for check in found["checks"]}["gpu_memory"] == "problem"


def test_two_free_cards_fit_the_command(nvml: Any) -> None:
    found = report("--only", "gpu,command", "--vllm", "0.11.0", *SERVE, "--tensor-parallel-size", "2", env=nvml([RTX_4090, RTX_4090]))
    assert found["verdict"] in {"healthy", "degraded"}
    assert "not-enough-gpus" not in rules(found)


def test_more_gpus_asked_than_there_are(nvml: Any) -> None:
    found = report("--only", "gpu,command", "--vllm", "0.11.0", *SERVE, "--tensor-parallel-size", "4", env=nvml([RTX_4090, RTX_4090]))
    assert "not-enough-gpus" in rules(found)


def test_a_v100_does_not_compute_in_bfloat16(nvml: Any) -> None:
    v100 = {"name": "Tesla V100-SXM2-32GB", "total": 32768, "used": 0, "major": 7, "minor": 0, "ecc": 2}
    found = report("--only", "gpu,command", "--vllm", "0.8.5", *SERVE, "--dtype", "bfloat16", env=nvml([v100]))
    assert {"bfloat16-unsupported-gpu", "gpu-ecc-errors"} <= set(rules(found))
    assert found["facts"]["compute_capability"] == "7.0"


def test_a_card_in_instances(nvml: Any) -> None:
    a100 = {"name": "NVIDIA A100-SXM4-40GB", "total": 40960, "used": 0, "major": 8, "minor": 0, "mig": 1, "memory": 4}
    found = report("--only", "gpu", env=nvml([a100]))
    assert {"gpu-in-mig-mode", "gpu-not-answering"} <= set(rules(found))


def test_a_lost_card_does_not_hide_the_others(nvml: Any) -> None:
    found = report("--only", "gpu", env=nvml([RTX_4090, {**RTX_4090, "handle": 15}]))
    assert "gpu-not-answering" in rules(found)
    assert found["facts"]["memory"]["total_gib"] == 23.65


@pytest.mark.parametrize(
    ("code", "fact", "rule"),
    [
        (9, "driver-not-loaded", "nvidia-driver-missing"),
        (18, "version-mismatch", "driver-library-mismatch"),
        (4, "no-permission", ""),
        (999, "unknown-error", ""),
    ],
)
def test_every_way_in_which_nvml_fails_is_told_apart(nvml: Any, code: int, fact: str, rule: str) -> None:
    found = report("--only", "gpu", env=nvml([], init=code))
    assert found["facts"]["nvml"] == fact
    assert not rule or rule in rules(found)


def test_a_driver_without_the_newer_calls(nvml: Any) -> None:
    found = report("--only", "gpu", env=nvml([{**RTX_4090, "used": 2048}], old=True))
    assert found["facts"]["nvml"] == "ok"
    assert found["facts"]["memory"]["total_gib"] == 23.99  # such a driver does not say what it reserves


def test_a_machine_with_nothing_gives_a_useful_page() -> None:
    done = doctor("--no-import-test", "--vllm", "0.11.0", *SERVE)
    assert done.returncode == 1
    for said in ("vLLM is not installed", "driver", "shared memory", "could not be looked at"):
        assert said in done.stdout
    assert "Traceback" not in done.stderr


def venv(folder: Path, files: Mapping[str, str]) -> Path:
    """An interpreter with packages of our own beside nothing else."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next((folder / "lib").glob("python*")) / "site-packages"
    for name, text in files.items():
        file = site / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder / "bin" / "python"


def metadata(name: str, version: str, *requires: str) -> dict[str, str]:
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    return {f"{name}-{version}.dist-info/METADATA": head + "".join(f"Requires-Dist: {each}\n" for each in requires)}


def test_an_environment_that_no_version_number_shows_to_be_broken(tmp_path: Path) -> None:
    """Every requirement is met, and yet torchvision's operators are not there: only the import tells."""
    python = venv(
        tmp_path / "venv",
        {
            **metadata("torch", "2.6.0"),
            **metadata("torchvision", "0.21.0", "torch==2.6.0"),
            "torch/__init__.py": "__version__ = '2.6.0'\n",
            "torch/version.py": "cuda: str = '12.4'\n",
            "torchvision/__init__.py": "raise RuntimeError('operator torchvision::nms does not exist')\n",
        },
    )
    seen = packages.look(str(python))
    assert not seen.observations  # what pip check would say
    assert seen.facts["torch_cuda"].value == "12.4"
    found = report("--only", "packages,imports", "--python", str(python))
    assert "torchvision-does-not-fit-torch" in rules(found)
    assert found["verdict"] == "failed"


def test_requirements_that_are_not_met(tmp_path: Path) -> None:
    python = venv(
        tmp_path / "venv",
        {**metadata("torch", "2.6.0"), **metadata("torchvision", "0.20.1", "torch==2.5.1", "pillow", "gdown; extra == 'x'")},
    )
    said = [each.message for each in packages.look(str(python)).observations]
    assert "package torchvision 0.20.1 requires torch==2.5.1, but 2.6.0 is installed" in said
    assert len(said) == 2


def test_an_interpreter_that_does_not_answer() -> None:
    assert packages.look("/no/such/python").facts["python_answers"].value == "no"
    assert imports.look("/no/such/python").facts["imports"].value == "not-run"


def test_an_import_that_does_not_end(tmp_path: Path) -> None:
    python = venv(tmp_path / "venv", {"torch.py": "import time\ntime.sleep(60)\n"})
    assert imports.look(str(python), limit_s=1.0).facts["imports"].value == "timeout"


def test_what_was_seen_can_be_diagnosed_elsewhere(nvml: Any, tmp_path: Path) -> None:
    file = tmp_path / "env.json"
    env = nvml([{**RTX_4090, "used": 18381}])
    here = report("--only", "gpu,host", "--export", str(file), env={**env, "HF_TOKEN": "hf_" + "s" * 34})
    assert "hf_sss" not in file.read_text(encoding="utf-8")
    there = report("--from", str(file), "--only", "gpu,host")
    assert rules(there) == rules(here)


@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, '{"schema": "other"}', "\x00\x01", '{"schema": "qvl-doctor/env/1", "facts": 3}'])
def test_a_file_that_is_no_environment(text: str, tmp_path: Path) -> None:
    file = tmp_path / "env.json"
    file.write_text(text, encoding="utf-8")
    done = doctor("--from", str(file))
    assert "Traceback" not in done.stderr
    assert done.returncode in ({0} if "env/1" in text else {3})


VALUES = st.text(max_size=20) | st.integers(-(2**40), 2**40) | st.booleans()


@given(
    st.dictionaries(st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1, max_size=8), VALUES, max_size=5),
    st.lists(st.text(max_size=30), max_size=3),
)
def test_an_export_is_read_back_as_it_was(facts: dict[str, Any], said: list[str]) -> None:
    seen = Seen({name: Fact(value, "probe") for name, value in facts.items()}, tuple(observe(MACHINE, text, 1) for text in said))
    back = loads(dumps(seen))
    assert {name: fact.value for name, fact in back.facts.items()} == facts
    assert [each.message for each in back.observations] == [each.message for each in seen.observations]


def test_hostile_exports_are_refused_or_bounded() -> None:
    with pytest.raises(EnvironmentFileError):
        loads("x" * ((16 << 20) + 1))


def test_a_log_beside_what_was_seen_of_its_machine(nvml: Any, tmp_path: Path, fixtures: Path) -> None:
    file = tmp_path / "env.json"
    report("--only", "gpu", "--export", str(file), env=nvml([{**RTX_4090, "ecc": 3}]))
    words = [sys.executable, "-m", "qvl_doctor", "logs", "--format", "json", "--env", str(file), str(fixtures / "article" / "oom-9.03.log")]
    found = json.loads(subprocess.run(words, capture_output=True, text=True, check=False).stdout)
    assert "gpu-ecc-errors" in rules(found)
    assert found["facts"]["gpu_name"] == RTX_4090["name"]


@pytest.mark.parametrize("arguments", [["--only", "gpus"], ["--command", "x", "--", "vllm", "serve", "m"]])
def test_wrong_usage(arguments: list[str]) -> None:
    done = doctor(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
