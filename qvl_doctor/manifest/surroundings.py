"""One container with its vLLM command and everything around it: what the inspections of a manifest are given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from qvl_doctor.knowledge.defaults import PORT
from qvl_doctor.launch.command import Command, size_of
from qvl_doctor.launch.masking import masked_part
from qvl_doctor.launch.pods.containers import Container
from qvl_doctor.launch.pods.kserve import PORT as KSERVE_PORT
from qvl_doctor.launch.pods.kserve import is_kserve
from qvl_doctor.launch.yamltext.yaml_tree import Node
from qvl_doctor.memory import model_cards
from qvl_doctor.memory.units import GIB
from qvl_doctor.memory.weights import file_bytes
from qvl_doctor.model import Record
from qvl_doctor.observations import observe

#: Used in place of a container's missing name.
UNNAMED = "of vLLM"
_LONGEST_NAME = 80
#: A command in the background of a script; what follows it keeps the container alive.
_BACKGROUND = re.compile(r"(?:vllm serve|vllm\.entrypoints)[^\n]{0,4000}?(?<![&>])&(?![&>\d])")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
#: KServe's templates, to which each InferenceService adds GPUs and volumes.
_COMPLETED = frozenset(("ServingRuntime", "ClusterServingRuntime", "LLMInferenceServiceConfig"))
_QUANTITY = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([kMGT]|[KMGT]i)?")
#: Docker's sizes: 2g, 512mb, 64M; all of them are powers of 1024.
_DOCKER_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?)i?b?", re.IGNORECASE)


@dataclass(frozen=True)
class Scene:
    """A container in its text.

    `documents` are all objects of the text. `arguments` are the command's, as vLLM names them. `start_s` is 0 if no log
    showed how long a start takes.
    """

    text: str
    documents: tuple[Node, ...]
    box: Container
    command: Command
    arguments: Mapping[str, Any]
    release: str
    start_s: float = 0.0
    #: The model, if KServe names it outside of vLLM's arguments.
    named: str = ""

    @property
    def node(self) -> Node:
        """The container."""
        return self.box.spot.container

    @property
    def name(self) -> str:
        return (self.box.spot.name or UNNAMED)[:_LONGEST_NAME]

    @property
    def shape(self) -> str:
        return self.box.spot.shape

    @property
    def pod(self) -> Node | None:
        """In Kubernetes, the map that holds the containers and the volumes."""
        return self.box.spot.pod

    @property
    def whole(self) -> bool:
        """Whether the text is a whole object, so that what it does not name is missing and not just left out."""
        return self.shape == "compose" or (bool(self.kind) and self.kind not in _COMPLETED)

    @property
    def kind(self) -> str:
        return self.box.spot.root.text("kind") or ""

    @property
    def port(self) -> int:
        """The port that the server listens on; 0 if a variable or a file of flags sets it."""
        return (
            size_of(self.command, "--http-port", KSERVE_PORT)
            if is_kserve(self.command)
            else size_of(self.command, "--port", PORT)
        )

    @property
    def model(self) -> str:
        return self.named or str(self.arguments.get("model") or "")

    @property
    def alone(self) -> bool:
        """Whether vLLM is the container's main program; not if a script starts it in the background."""
        box = self.box
        script = box.words[box.script] if 0 <= box.script < len(box.words) else ""
        return not _BACKGROUND.search(script.replace("\\\n", " "))

    @cached_property
    def card(self) -> model_cards.Card | None:
        """The built-in data of the model."""
        return model_cards.find(self.model) if self.model else None

    @cached_property
    def weights_gib(self) -> float:
        """The size of the model's files; 0 if it is unknown."""
        return file_bytes(self.card) / GIB if self.card else 0.0

    def at(self, node: Node, key: str, /, **values: str | int | None) -> Record:
        """An observation with a node's line as its evidence."""
        start = self.text.rfind("\n", 0, node.start) + 1
        end = self.text.find("\n", node.start)
        shown = masked_part(self.text, start, end if end >= 0 else len(self.text)).strip()[:200]
        return observe(key, self.text.count("\n", 0, node.start) + 1, shown, **values)


def number(value: Any, otherwise: int = 1) -> int:
    """A whole number that is not negative, written as number or text; `otherwise` for anything else."""
    if isinstance(value, str):
        value = int(value) if value.isdecimal() and len(value) < 10 else otherwise
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else otherwise


def quantity_of(quantity: str, *, docker: bool = False) -> int:
    """Bytes of a quantity of Kubernetes (`16Gi`, `500M`) or of Docker (`2g`); 0 if it is neither."""
    if docker:
        found = _DOCKER_SIZE.fullmatch(quantity.strip())
        return int(float(found[1]) * 1024 ** " kmgt".index(found[2].lower() or " ")) if found else 0
    found = _QUANTITY.fullmatch(quantity.strip())
    return int(float(found[1]) * _UNITS[found[2] or ""]) if found else 0
