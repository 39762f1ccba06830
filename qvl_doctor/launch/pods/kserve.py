"""KServe's InferenceService: its Hugging Face runtime takes vLLM's flags besides its own and ignores unknown ones."""

from __future__ import annotations

from collections.abc import Iterator

from qvl_doctor.launch.command import Command
from qvl_doctor.launch.yamltext.yaml_tree import Node

#: What the runtime's image puts before the arguments.
PROGRAM = ("python3", "-m", "huggingfaceserver")
_FORMATS = frozenset(("huggingface", "vllm"))
#: The runtime's port unless --http_port sets another (kserve/model_server.py).
PORT = 8080
#: KServe's kinds that have containers.
KINDS = frozenset(("InferenceService", "LLMInferenceService", "InferenceGraph"))
_HUB = "hf://"


def models(node: Node) -> Iterator[tuple[Node, Node]]:
    """(predictor, model) if a map is the spec of an InferenceService that one of these runtimes serves."""
    predictor = node.get("predictor")
    model = predictor.resolved.get("model") if predictor else None
    form = model.resolved.get("modelFormat") if model else None
    if predictor and model and form and (form.resolved.text("name") or "").lower() in _FORMATS:
        yield predictor.resolved, model.resolved


def is_kserve(command: Command) -> bool:
    """Whether KServe's runtime reads the arguments."""
    return command.program == PROGRAM


def model_of(command: Command, model: Node) -> str:
    """The model's name on the Hub; "" if it comes from elsewhere."""
    uri = model.text("storageUri") or ""
    named = command.value("--model-id") or (uri.removeprefix(_HUB) if uri.startswith(_HUB) else "")
    return named.partition(":")[0]
