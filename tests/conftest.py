"""What all tests share."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from kube.fixtures import kube, kube_apply
from nvml.fixtures import nvml

__all__ = ["kube", "kube_apply", "nvml"]  # fixtures: found by their names

# The same examples on every run, and no clock: tests share their machine with others. `.ci/run` tries more examples
# (--hypothesis-profile=thorough).
for _name, _examples in (("quick", 30), ("thorough", 300)):
    hypothesis.settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        derandomize=True,
        print_blob=True,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
hypothesis.settings.load_profile("quick")


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """English, 80 columns, no colour: whatever the terminal or CI system of the person who runs the tests asks for."""
    for name in (
        "COLUMNS",
        "LINES",
        "FORCE_COLOR",
        "NO_COLOR",
        "TTY_COMPATIBLE",
        "CLICOLOR_FORCE",
        "GITHUB_ACTIONS",
        "PY_COLORS",
        "LANGUAGE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture(scope="session", autouse=True)
def _interrupts_are_heard() -> None:
    """Programs that tests interrupt inherit an ignored SIGINT, as a shell gives it to what it starts with `&`, and then
    never end."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def root() -> Path:
    """The source tree."""
    return Path(__file__).parent.parent


@pytest.fixture(scope="session")
def held_by_schema(root: Path) -> Callable[[object], None]:
    """A function that fails for what is no JSON report."""
    import jsonschema

    schema = json.loads((root / "qvl_doctor/report/schema-v1.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema).validate


@pytest.fixture(scope="session")
def fixtures(root: Path) -> Path:
    """The folder of whole logs; SOURCES.md there says where each is from."""
    return root / "fixtures"
