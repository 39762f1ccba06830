"""KServe's InferenceService, whose Hugging Face runtime takes vLLM's flags beside its own and leaves out what it does not know."""

from __future__ import annotations

from collections.abc import Iterator

from qvl_doctor.launch.command import Command
from qvl_doctor.launch.yamltext.yaml_tree import Node

#: What stands in front of the arguments in the runtime's image.
PROGRAM = ("python3", "-m", "huggingfaceserver")
_FORMATS = frozenset(("huggingface", "vllm"))
#: Where the runtime listens unless --http_port says so (kserve/model_server.py).
PORT = 8080
#: Kinds of KServe's with containers in them.
KINDS = frozenset(("InferenceService", "LLMInferenceService", "InferenceGraph"))
_HUB = "hf://"


def models(node: Node) -> Iterator[tuple[Node, Node]]:
    """(predictor, model) where a map is the spec of an InferenceService that one of these runtimes serves."""
    predictor = node.get("predictor")
    model = predictor.resolved.get("model") if predictor else None
    form = model.resolved.get("modelFormat") if model else None
    if predictor and model and form and (form.resolved.text("name") or "").lower() in _FORMATS:
        yield predictor.resolved, model.resolved


def is_kserve(command: Command) -> bool:
    """Whether KServe's runtime reads the arguments."""
    return command.program == PROGRAM


def model_of(command: Command, model: Node) -> str:
    """The model's name on the Hub, "" where it comes from elsewhere."""
    uri = model.text("storageUri") or ""
    named = command.value("--model-id") or (uri.removeprefix(_HUB) if uri.startswith(_HUB) else "")
    return named.partition(":")[0]
