"""Which rules find something in some manifests, and parts of manifests that more than one test has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from checking import unclaimed
from program import RULES

from qvl_doctor.manifest.inspection import inspect_manifest
from qvl_doctor.workflows.manifest import diagnose


def rules(*objects: Mapping[str, Any], start_s: float = 0.0, text: str = "") -> set[str]:
    text = text or yaml.safe_dump_all(objects, sort_keys=False)
    assert unclaimed(said for each in inspect_manifest(text, start_s=start_s) for said in each.seen.observations) == []
    return {
        finding.rule for finding in diagnose(text, source="x.yaml", start_s=start_s, rules=RULES).diagnosis.findings
    }


CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "models"},
    "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "50Gi"}}},
}


READY = {"httpGet": {"path": "/health", "port": 8000}}
