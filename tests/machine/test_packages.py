"""What `check` says of an interpreter's packages.

Versions that do not go together, builds for other GPUs, imports that fail.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from checking import evidence, report, rules
from hypothesis import given
from hypothesis import strategies as st

from qvl_doctor.machine import imports, packages
from qvl_doctor.machine.fit_gpus import of_packages
from qvl_doctor.model import Fact, Facts

TORCH = "__version__ = '{version}'\ncuda: Optional[str] = {cuda}\nhip: Optional[str] = {hip}\n"
VISION = (
    "__version__ = '{version}'\nfrom torchvision.extension import _check_cuda_version\ncuda = _check_cuda_version()\n"
)


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


def told(python: Path) -> list[str]:
    return [each.message for each in packages.inspect_packages(str(python)).observations]


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
    seen = packages.inspect_packages(str(python))
    assert not seen.observations  # what pip check would say
    assert seen.facts["torch_cuda"].value == "12.4"
    found = report("--only", "packages,imports", "--python", str(python))
    assert "torchvision-does-not-fit-torch" in rules(found)
    assert "torchvision cannot be imported" in evidence(found, "imports-fail")
    assert found["verdict"] == "failed"


@pytest.mark.real_torch
def test_the_same_with_the_real_packages() -> None:
    """Torch 2.13.0 without CUDA, torchvision 0.28.0 with.

    Pip finds nothing, the import fails, and the builds tell it before any import.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(os.environ.get("QVL_DOCTOR_TORCH") or os.path.join(caches, "qvl-doctor-torch")) / "2.13.0+cpu"
    if not (folder / ".complete").exists():
        pytest.skip(f"tests/torch/build.sh has built nothing in {folder}")
    python = folder / "venv" / "bin" / "python"
    checked = subprocess.run([str(python), "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0
    assert "No broken requirements found." in checked.stdout

    result = imports.inspect_imports(str(python))
    assert result.facts["import_torch"].value == "ok"
    assert result.facts["import_failed"].value == "torchvision"
    assert [each.message for each in result.observations] == ["operator torchvision::nms does not exist"]

    by_build = report("--only", "packages", "--python", str(python))
    said = evidence(by_build, "torchvision-does-not-fit-torch")
    assert "torchvision 0.28.0 is built for CUDA 13.0, and torch 2.13.0+cpu for none" in said
    whole = report("--only", "packages,imports", "--python", str(python))
    assert {"torchvision-does-not-fit-torch", "imports-fail"} <= set(rules(whole))
    assert "package-requirement-not-met" not in rules(whole)


def test_requirements_that_are_not_met(tmp_path: Path) -> None:
    files = {
        **metadata("torch", "2.6.0"),
        **metadata("torchvision", "0.20.1", "torch==2.5.1", "pillow", "gdown; extra == 'x'"),
    }
    found = told(venv(tmp_path / "venv", files))
    assert "package torchvision 0.20.1 requires torch==2.5.1, but 2.6.0 is installed" in found
    assert len(found) == 2


def test_requirements_hold_for_the_interpreter_that_is_looked_at() -> None:
    wish = 'backports.strenum; python_version < "3.11"'
    rows = [["vllm", "0.11.0", [wish, 'six; python_version > "3.11"']]]
    for python, missing in (("3.10.4", "backports.strenum"), ("3.12.1", "six")):
        told = [each.message for each in packages.read({"python": python, "packages": rows}).observations]
        assert told == [f"package vllm 0.11.0 requires {missing}, which is not installed"]


def test_who_else_asks_for_it(tmp_path: Path) -> None:
    files = {
        **metadata("vllm", "0.11.0", "torch==2.8.0"),
        **metadata("torch", "2.9.0"),
        **metadata("torchvision", "0.24.0", "torch==2.9.0"),
        **metadata("xformers", "0.0.32", "torch>=2.8"),
    }
    python = venv(tmp_path / "venv", files)
    found = report("--only", "packages", "--python", str(python))
    finding = next(each for each in found["findings"] if each["rule"] == "package-requirement-not-met")
    assert finding["title"]["en"] == "vllm 0.11.0 requires torch==2.8.0, which is not installed"
    assert "Version 2.9.0 is installed" in finding["why"]["en"]
    for language in ("en", "zh"):
        assert "torchvision 0.24.0 (torch==2.9.0), xformers 0.0.32 (torch>=2.8)" in finding["why"][language]


@pytest.mark.parametrize(
    ("vllm", "transformers", "unfit"),
    [
        ("0.11.0", "5.1.0", True),
        ("0.9.2", "4.54.0", True),
        ("0.9.2", "4.53.3", False),
        ("0.11.2", "5.1.0", False),
        ("0.19.0", "5.1.0", False),
    ],
)
def test_a_transformers_that_came_after_this_vllm(tmp_path: Path, vllm: str, transformers: str, unfit: bool) -> None:
    """Where vLLM's own metadata do not know the limit; 0.11.2 has it in its metadata, and is told from there."""
    files = {**metadata("vllm", vllm), **metadata("transformers", transformers)}
    assert any("does not run with transformers" in each for each in told(venv(tmp_path / "venv", files))) is unfit


def test_an_import_that_goes_well_says_more_than_what_two_builds_promise(tmp_path: Path) -> None:
    files = {
        **metadata("torch", "2.13.0+cpu"),
        **metadata("torchvision", "0.28.0"),
        "torch/version.py": TORCH.format(version="2.13.0+cpu", cuda="None", hip="None"),
        "torch/__init__.py": "",
        "torchvision/version.py": VISION.format(version="0.28.0+cu130"),
        "torchvision/__init__.py": "",
    }
    python = str(venv(tmp_path / "venv", files))
    assert "torchvision-does-not-fit-torch" in rules(report("--only", "packages", "--python", python))
    assert "torchvision-does-not-fit-torch" not in rules(report("--only", "packages,imports", "--python", python))


@pytest.mark.parametrize(
    ("torch", "vision", "facts", "finds"),
    [
        (("2.8.0+cu128", "'12.8'", "None"), "0.23.0+cu128", ("12.8", "12.8"), ""),
        (("2.8.0+cu128", "'12.8'", "None"), "0.23.0+cu126", ("12.8", "12.6"), ""),
        (("2.13.0+cpu", "None", "None"), "0.28.0+cpu", ("None", "None"), ""),
        (("2.13.0", "'13.0'", "None"), "0.28.0+cpu", ("13.0", "None"), ""),  # its operators are there, for CPUs
        (("2.13.0+cpu", "None", "None"), "0.28.0+cu130", ("None", "13.0"), "is built for CUDA 13.0, and torch"),
        (("2.9.0", "'12.8'", "None"), "0.24.0+cu130", ("12.8", "13.0"), "different CUDA major versions"),
        (("2.8.0+rocm6.4", "None", "'6.4.43482'"), "0.23.0+rocm6.4", ("rocm", "rocm"), ""),
    ],
)
def test_what_torch_and_torchvision_were_built_for(
    tmp_path: Path, torch: tuple[str, str, str], vision: str, facts: tuple[str, str], finds: str
) -> None:
    files = {
        "torch/version.py": TORCH.format(version=torch[0], cuda=torch[1], hip=torch[2]),
        "torchvision/version.py": VISION.format(version=vision),
    }
    seen = packages.inspect_packages(str(venv(tmp_path / "venv", files)))
    assert (seen.facts["torch_cuda"].value, seen.facts["torchvision_cuda"].value) == facts
    messages = [each.message for each in packages.builds_apart(seen.facts)]
    assert (finds in messages[0]) if finds else not messages
    assert not seen.observations


def given_facts(**values: object) -> Facts:
    return {name: Fact(value, "probe") for name, value in values.items()}


CARD = {"gpu_count": 1, "gpu_name": "NVIDIA A10", "compute_capability": "8.6"}


@pytest.mark.parametrize(
    ("facts", "finds"),
    [
        ({"torch": "2.8.0", "torch_cuda": "12.8", "driver_cuda": "12.8", **CARD}, ""),
        ({"torch": "2.8.0", "torch_cuda": "12.8", "driver_cuda": "13.0", **CARD}, ""),
        ({"torch": "2.8.0", "torch_cuda": "12.8", "driver_cuda": "12.2", **CARD}, "run together with limits"),
        ({"torch": "2.8.0", "torch_cuda": "12.8", "driver_cuda": "11.4", **CARD}, "too old (found version 11040)"),
        ({"torch": "2.11.0", "torch_cuda": "13.0", "driver_cuda": "12.9", **CARD}, "too old (found version 12090)"),
        ({"vllm": "0.20.0", "driver_cuda": "12.9", **CARD}, "vLLM 0.20.0 from PyPI is built for CUDA 13"),
        (
            {"vllm": "0.11.0", "vllm_installed": "no", "python": "3.14.0"},
            "requires a different Python: 3.14.0 not in '>=3.9,<3.14'",
        ),
        ({"vllm": "0.11.0", "vllm_installed": "no", "python": "3.13.1"}, ""),
        ({"vllm": "0.11.0", "vllm_installed": "yes", "python": "3.14.0"}, ""),
        (
            {"vllm": "0.19.0", "driver_cuda": "12.2", **CARD},
            "",
        ),  # what would be installed is not looked at for mere limits
        (
            {"vllm": "0.20.0", "torch": "2.11.0", "torch_cuda": "12.9", "driver_cuda": "12.9", **CARD},
            "",
        ),  # the wheel for CUDA 12
        (
            {"torch": "2.13.0+cpu", "torch_cuda": "None", "driver_cuda": "12.4", **CARD},
            "Torch not compiled with CUDA enabled",
        ),
        ({"torch": "2.13.0+cpu", "torch_cuda": "None", "vllm": "0.32.0+cpu", **CARD}, ""),
        ({"torch": "2.13.0+cpu", "torch_cuda": "None"}, ""),  # no GPU, no harm
        ({"torch": "2.8.0", "torch_cuda": "rocm", **CARD}, "built for ROCm"),
        ({"torch": "2.9.0", "torch_cuda": "13.0", **CARD, "compute_capability": "7.0"}, "sm_70 is not compatible"),
        ({"torch": "2.8.0", "torch_cuda": "12.8", **CARD, "compute_capability": "7.0"}, ""),
        ({"torch": "2.7.1", "torch_cuda": "12.8", **CARD, "compute_capability": "7.0"}, "sm_70 is not compatible"),
        ({"torch": "2.6.0", "torch_cuda": "12.4", **CARD, "compute_capability": "12.0"}, "sm_120 is not compatible"),
        ({"torch": "2.8.0", "torch_cuda": "12.8", **CARD, "compute_capability": "12.0"}, ""),
    ],
    ids=str,
)
def test_packages_against_driver_and_card(facts: dict[str, object], finds: str) -> None:
    messages = [each.message for each in of_packages(given_facts(**facts), {})]
    assert (len(messages) == 1 and finds in messages[0]) if finds else not messages


def test_torch_for_the_other_card_of_a_machine_with_both() -> None:
    facts = given_facts(torch="2.8.0+rocm6.4", torch_cuda="rocm", gpu_count=1)
    assert len(list(of_packages(facts, {}))) == 1
    assert not list(of_packages(facts, {}, amd=True))


def test_a_forward_compatibility_package_is_not_called_too_old() -> None:
    facts = given_facts(torch="2.11.0", torch_cuda="13.0", driver_cuda="12.9", **CARD)
    assert not list(of_packages(facts, {"VLLM_ENABLE_CUDA_COMPATIBILITY": "1"}))


@given(st.dictionaries(st.sampled_from([*CARD, "torch", "torch_cuda", "driver_cuda", "vllm"]), st.text(max_size=12)))
def test_whatever_versions_look_like_nothing_breaks(facts: dict[str, str]) -> None:
    list(of_packages(given_facts(**facts), {}))


def test_an_interpreter_that_does_not_answer() -> None:
    assert packages.inspect_packages("/no/such/python").facts["python_answers"].value == "no"
    assert imports.inspect_imports("/no/such/python").facts["imports"].value == "not-run"
    found = report("--only", "packages", "--python", "/no/such/python")
    assert rules(found) == ["interpreter-not-answering"]
    assert {check["name"]: check["status"] for check in found["checks"]}["python"] == "problem"
    assert imports.inspect_imports("/bin/true").facts["imports"].value == "not-run"


def test_an_interpreter_that_says_something_first(tmp_path: Path) -> None:
    python = venv(tmp_path / "venv", {"sitecustomize.py": "print('{}')\n", **metadata("torch", "2.8.0")})
    assert packages.inspect_packages(str(python)).facts["torch"].value == "2.8.0"


def test_imports_that_only_warn_are_fine(tmp_path: Path) -> None:
    """As vLLM's CUDA build does on a machine without a driver."""
    warning = "Failed to import from vllm._C with ImportError('libcuda.so.1: cannot open shared object file: No such file or directory')"
    files = {
        "torch.py": "import warnings\nwarnings.warn('Failed to initialize NumPy')\n",
        "vllm.py": f"import sys\nprint('to standard output')\nprint({warning!r}, file=sys.stderr)\n",
    }
    seen = imports.inspect_imports(str(venv(tmp_path / "venv", files)))
    assert {name: fact.value for name, fact in seen.facts.items() if name != "imports_s"} == {
        "imports": "ok",
        "import_torch": "ok",
        "import_torchvision": "missing",
        "import_transformers": "missing",
        "import_vllm": "ok",
    }
    assert not seen.observations


def test_what_earlier_imports_printed_is_not_held_against_the_one_that_fails(tmp_path: Path) -> None:
    files = {
        "torch.py": "import sys\nprint('OSError: libcuda.so.1: cannot open shared object file', file=sys.stderr)\n",
        "transformers.py": "import huggingface_hub\n",  # it is there, and what it needs is not
    }
    seen = imports.inspect_imports(str(venv(tmp_path / "venv", files)))
    assert seen.facts["import_transformers"].value == "failed"
    assert "import_vllm" not in seen.facts  # nobody knows
    assert [each.message for each in seen.observations] == ["No module named 'huggingface_hub'"]


@pytest.mark.parametrize(
    ("text", "code"),
    [("raise SystemExit(3)", 1), ("import os\nos._exit(0)", 0), ("import os\nos.kill(os.getpid(), 11)", -11)],
)
def test_an_import_that_ends_the_process(tmp_path: Path, text: str, code: int) -> None:
    seen = imports.inspect_imports(str(venv(tmp_path / "venv", {"torch.py": text + "\n"})))
    assert (seen.facts["imports"].value, seen.facts["import_failed"].value) == ("failed", "torch")
    assert seen.facts["imports_exit_code"].value == code


def test_an_import_that_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    number = tmp_path / "number"
    text = f"""
import subprocess, time
child = subprocess.Popen(["sleep", "60"])
with open({str(number)!r}, "w") as file:
    file.write(str(child.pid))
time.sleep(60)
"""
    python = venv(tmp_path / "venv", {"torch.py": text})
    began = time.monotonic()
    seen = imports.inspect_imports(str(python), limit_s=2.0)
    assert time.monotonic() - began < 20
    assert (seen.facts["imports"].value, seen.facts["import_torch"].value) == ("timeout", "timeout")
    assert gone(int(number.read_text()))


def test_what_an_import_leaves_running_is_ended_and_not_waited_for(tmp_path: Path) -> None:
    number = tmp_path / "number"
    text = f"""
import subprocess
child = subprocess.Popen(["sleep", "60"])
open({str(number)!r}, "w").write(str(child.pid))
child.returncode = 0
"""
    began = time.monotonic()
    assert imports.inspect_imports(str(venv(tmp_path / "venv", {"torch.py": text}))).facts["imports"].value == "ok"
    assert time.monotonic() - began < 20
    assert gone(int(number.read_text()))


def gone(pid: int) -> bool:
    """Whether a process has ended; whoever inherited it may not have taken note of it yet."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_an_import_that_prints_without_end(tmp_path: Path) -> None:
    text = """
import sys
for _ in range(3000):
    sys.stderr.write("x" * 9999 + "\\n")
raise RuntimeError("operator torchvision::nms does not exist")
"""
    seen = imports.inspect_imports(str(venv(tmp_path / "venv", {"torch.py": text})))
    assert (seen.facts["imports"].value, seen.facts["import_failed"].value) == ("failed", "torch")
    assert sum(len(line.text) for record in seen.observations for line in record.lines) < 1 << 20
    assert any(each.message == "operator torchvision::nms does not exist" for each in seen.observations)


def test_a_file_in_the_folder_we_are_in_answers_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise RuntimeError('not this one')\n")
    (tmp_path / "json.py").write_text("raise RuntimeError('nor this')\n")
    python = venv(tmp_path / "venv", {})
    monkeypatch.chdir(tmp_path)
    assert imports.inspect_imports(str(python)).facts["import_torch"].value == "missing"
    assert packages.inspect_packages(str(python)).facts["vllm_installed"].value == "no"


def test_the_environment_of_the_caller_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = venv(
        tmp_path / "venv",
        {"torch.py": "import os\nif os.environ.get('OURS') != 'kept':\n    raise RuntimeError('lost')\n"},
    )
    monkeypatch.setenv("OURS", "kept")
    assert imports.inspect_imports(str(python)).facts["imports"].value == "ok"


def test_libraries_for_two_releases_of_cuda(tmp_path: Path) -> None:
    files = {
        **metadata("nvidia-nccl-cu12", "2.27.3"),
        **metadata("nvidia-nccl-cu13", "2.30.7"),
        **metadata("nvidia-cudnn-cu13", "9.24.0"),
    }
    assert told(venv(tmp_path / "venv", files)) == [
        "packages nvidia-nccl-cu12 2.27.3 and nvidia-nccl-cu13 2.30.7 have the same files"
    ]


def test_where_nothing_is_installed_nothing_was_tried(tmp_path: Path) -> None:
    assert imports.inspect_imports(str(venv(tmp_path / "venv", {}))).facts["imports"].value == "not-run"


def test_two_packages_that_give_the_same_module(tmp_path: Path) -> None:
    python = venv(tmp_path / "venv", {**metadata("pynvml", "11.5.3"), **metadata("nvidia-ml-py", "12.560.30")})
    assert any("deprecated `pynvml`" in each for each in told(python))
    newer = venv(tmp_path / "newer", {**metadata("pynvml", "12.0.0"), **metadata("nvidia-ml-py", "12.560.30")})
    assert not told(newer)
