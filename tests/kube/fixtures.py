"""Fixtures of tests that need a real API server. tests/conftest.py hands them to all tests.

They skip where none was built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import yaml
from kube.server import ControlPlane, missing


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane of its own for this session."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    plane = ControlPlane(tmp_path_factory.mktemp("kube"))
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()


@pytest.fixture(scope="session")
def kube_apply(kube: ControlPlane) -> Callable[[str], tuple[bool, str]]:
    """Whether the API server takes a manifest, and what kubectl says.

    Nothing is kept but the namespaces that it names.
    """

    def apply(text: str) -> tuple[bool, str]:
        try:
            documents = [each for each in yaml.safe_load_all(text) if isinstance(each, dict)]
        except yaml.YAMLError:
            documents = []  # kubectl says it better
        for each in documents:
            metadata = each.get("metadata")
            name = metadata.get("namespace") if isinstance(metadata, dict) else None
            if name:
                kube.kubectl("create", "namespace", str(name))
        answer = kube.kubectl("apply", "--dry-run=server", "--validate=true", "-f", "-", stdin=text)
        return answer.code == 0, (answer.out + answer.err).strip()

    return apply
