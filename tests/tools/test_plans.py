"""The page of plans is what the memory model says today."""

from __future__ import annotations

import sys

import build_plans
import pytest


def test_the_page_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["build_plans.py", "--check"])
    assert build_plans.main() == 0
