"""Build hook: compiles rules and words into the wheel.

Nothing is written into the source tree, and editable installs read the YAML.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds `rulebook.json`, `rulepages.json` and `messages.json` to the package in a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the wheel is put together; `version` is "editable" or "standard"."""
        if version == "editable":
            return
        root = Path(self.root)
        sys.path.insert(0, self.root)
        try:
            from qvl_doctor.messages import compile_messages
            from qvl_doctor.rulebook import compile_book, load
            from qvl_doctor.rulebook.pages import compile_pages
            from qvl_doctor.rulebook.topics import load_topics
        finally:
            sys.path.remove(self.root)
        self._folder = tempfile.TemporaryDirectory(prefix="qvl-doctor-build-")
        folder = str(root / "rules")
        rules = load(folder)
        compiled = {
            "rulebook.json": compile_book(rules),
            "rulepages.json": compile_pages(rules, load_topics(folder)),
            "messages.json": compile_messages(str(root / "qvl_doctor" / "messages.yaml")),
        }
        for name, text in compiled.items():
            path = Path(self._folder.name, name)
            path.write_text(text, encoding="utf-8")
            build_data["force_include"][str(path)] = f"qvl_doctor/{name}"

    def finalize(self, version: str, _build_data: dict[str, Any], _artifact_path: str) -> None:
        """Called after the wheel is written."""
        if version != "editable":
            self._folder.cleanup()
