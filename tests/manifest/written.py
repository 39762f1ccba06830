"""Manifests as tests write them, and what one inspection sees of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

from qvl_doctor.launch.observing import arguments_of
from qvl_doctor.launch.pods.pod_commands import ManifestSource
from qvl_doctor.launch.reading import read
from qvl_doctor.manifest.inspection import objects, release_of
from qvl_doctor.manifest.surroundings import Scene
from qvl_doctor.model import Record
from qvl_doctor.observations import key_of

MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"
Values = Mapping[str, Any]


def deployment(**container: Any) -> dict[str, Any]:
    """A Deployment of which nothing is to be said."""
    vllm = {
        "name": "vllm",
        "image": "vllm/vllm-openai:v0.11.0",
        "args": ["--model", MODEL, "--max-model-len", "8192"],
        "resources": {"limits": {"nvidia.com/gpu": 1}},
        "volumeMounts": [{"name": "models", "mountPath": "/root/.cache/huggingface"}],
        **container,
    }
    pod = {"containers": [vllm], "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}]}
    template = {"metadata": {"labels": {"app": "qwen"}}, "spec": pod}
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": {"app": "qwen"}},
        "template": template,
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "qwen"}, "spec": spec}


def pod_of(found: Values) -> dict[str, Any]:
    pod: dict[str, Any] = found["spec"]["template"]["spec"]
    return pod


def scene(*written: Values, weights: float = 0.0, start_s: float = 0.0, model: str = "") -> Scene:
    """The first vLLM container of objects. `weights`: the GiB of its model, whatever it is."""
    text = yaml.safe_dump_all(written, sort_keys=False)
    command = read(text)[0]
    assert isinstance(command.source, ManifestSource)
    release = release_of(command.image or "")
    given = arguments_of(command, release)
    found = Scene(text, tuple(objects(text)), command.source.box, command, given, release, start_s, model)
    if weights:
        vars(found)["weights_gib"] = weights
    return found


def said(inspect: Callable[[Scene], Iterable[Record]], *written: Values, **known: Any) -> dict[str, Values]:
    """What an inspection says: its keys, each with its values."""
    records = inspect(scene(*written, **known))
    return {key_of(each): each.observation.values for each in records if each.observation}
