"""What an input is.

Something about vLLM, the log of another program, or no log at all but a manifest, a command, a table.

Judged by the beginning of the text, after what it went through was undone. Exit code 3 is for what has nothing to do
with vLLM, and for what another command reads.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from qvl_doctor.model import NOTHING, Text

#: What only vLLM writes, or only those who start it: where it is, another program is only quoted.
_OWN = (
    *("vLLM API server version", "EngineCore", "vllm serve", "vllm.entrypoints", "vllm/entrypoints", "LLM engine (v"),
    *("vllm/v1/", "vllm/engine/", "vllm/worker/", "vllm/executor/", "vllm/vllm-"),
)
_OWN_CALL = r"(?:INFO|WARNING|ERROR|DEBUG) \d\d-\d\d \d\d:\d\d:\d\d \[?[\w./-]+\.py:\d+\]"
#: Words of vLLM, of what it is on, and of those who run it.
_ABOUT = (
    r"vllm|\bcuda|\bgpus?\b|nccl|nvidia|rocm|\b[nxt]pu\b|hccl|ascend|\btorch|triton|flashinfer|flash[-_]attn"
    r"|safetensors|hugging ?face|\bkv[- _]cache|tensor[- ]parallel|max[-_]model[-_]len|chat[_ ]template|tool[- _]choice"
    r"|max_tokens|\"object\": ?\"error\"|/v1/(?:chat|completions|models|embeddings)|available routes are"
    r"|oci runtime|containerd|cri-o|crashloopbackoff|imagepull|oomkilled|shm[-_]size|显存|推理|模型"
)


class Program(NamedTuple):
    """Another program, what it is called in each language, and what only its logs hold."""

    name: Text
    signs: tuple[str, ...]


def _called(en: str, zh: str = "") -> Text:
    return {"en": en, "zh": zh or en}


#: Each sign is in the program's own source; names alone, which people mention, are none.
PROGRAMS = (
    Program(
        _called("SGLang"),
        (
            r"sglang[./](?:srt|launch_server|python)|\bserver_args=ServerArgs\(|--mem-fraction-static|#running-req: \d+",
            r"\bmax_total_num_tokens=\d+, |The server is fired up and ready to roll",
            r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (?:(?:DP|TP|PP|EP)\d+ ?)+\]",
        ),
    ),
    Program(
        _called("Text Generation Inference"),
        (
            r"text[_-]generation[_-](?:launcher|server|router)",
            r"shard-manager: |Shard complete standard error output|Shard process was signaled to shutdown",
        ),
    ),
    Program(
        _called("Ollama"),
        (
            r"source=\w+\.go:\d+ msg=|time=\S+ level=\w+ source=|\bollama (?:serve|runner|run)\b",
            r"llama runner process|/usr/(?:local/)?lib/ollama/|/\.ollama/models/",
        ),
    ),
    Program(
        _called("llama.cpp"),
        (
            r"\bllama_(?:model_load\w*|model_loader|new_context_with_model|init_from_model|kv_cache\w*|context|params_fit\w*) ?:",
            r"\bllm_load_\w+ ?:|\bggml_\w+: |ggml[-_][\w/.-]+\.(?:c|cu|cpp|cuh):\d+|\bsrv +\w+: |common_init_from_params",
            r"main: server is listening on",
        ),
    ),
    Program(
        _called("a training run", "训练任务"),
        (
            r"\*{5} Running training \*{5}|'grad_norm': |'learning_rate': [\d.e-]+|trainer\.train\(|loss\.backward\(\)|optimizer\.step\(\)",
            r"transformers[/\\]trainer\.py|\btrl[/\\]trainer[/\\]|accelerate[/\\](?:commands[/\\]launch|accelerator)\.py",
            r"deepspeed[/\\]runtime[/\\]|pytorch_lightning[/\\]|lightning[/\\]pytorch[/\\]|megatron[/\\]training|torch[/\\]autograd[/\\]graph\.py",
            r"llamafactory[/\\]train|axolotl[/\\]|torch[/\\]optim[/\\]",
        ),
    ),
    Program(
        _called("nginx"),
        (r"\[(?:error|crit|alert|emerg|warn|notice)\] \d+#\d+:|nginx: \[(?:emerg|alert|warn)\]|\bnginx/\d+\.\d+\.\d+",),
    ),
    Program(
        _called("the kubelet", "kubelet"),
        (
            r"\bkubelet(?:\[\d+\])?: ",
            r"\b(?:pod_workers|kubelet\w*|kuberuntime_\w+|pod_startup_latency_tracker|eviction_manager|prober|reconciler\w*|remote_\w+)\.go:\d+\]",
        ),
    ),
)


class Kind(NamedTuple):
    """An input that is not a log: the end of the key of its sentence, and what shows it.

    `alone`: unless it is next to a log.
    """

    key: str
    signs: str
    alone: bool = True


#: In this order: a manifest may hold a command.
KINDS = (
    Kind("inspect", r'\A\s*\[\s*\{[^}]{0,200}"(?:Id|Created)":', alone=False),
    Kind(
        "manifest",
        r"(?m)\A(?s:.{0,2000}?)^(?:- )?(?:apiVersion|services|servingEngineSpec):[ \t]*\S*[ \t]*$",
        alone=False,
    ),
    Kind("metrics", r"(?m)^# (?:HELP|TYPE) \w+[:_]|^vllm:\w+(?:\{|\s)"),
    Kind("smi", r"NVIDIA-SMI \d|rocm-smi|npu-smi \d"),
    Kind(
        "packages",
        r"(?m)\A\s*(?:Package +(?:Editable project location +)?Version|(?:[\w.-]+(?:\[[\w,]+\])?==\S+\s*\n){3})",
    ),
    Kind("command", r"\A\s*(?:[$#] )?(?:sudo |\w+=\S+ )*(?:vllm |python3? -m vllm|docker run |podman run |#!/)"),
)
#: A post begins with a sentence, whatever it quotes after it.
_POST = r"\A\s*(?![#-]|[a-z][\w-]*:)(?:[^\s\w]{0,3}[A-Za-z]\S* ){4}"
_LOG = r"(?:INFO|WARNING|ERROR|DEBUG)[ :]|Traceback \(most|Error\b|Exception\b|error:"


class Refusal(NamedTuple):
    """Why an input is turned away: the key of the sentence, and what fills it."""

    key: str
    program: Text = NOTHING


def refusal(text: str, *, silent: bool, empty: bool) -> Refusal | None:
    """Why a text is not an input for a diagnosis; None if it is one.

    `silent`: no rule and no exception; `empty`: no fact either.
    """
    program = program_of(text)
    if program:
        return Refusal("no_log.program", program)
    if not text.strip():
        return Refusal("error.empty")
    kind = kind_of(text) if silent else ""
    if kind:
        return Refusal(f"no_log.{kind}")
    return Refusal("error.no_log") if empty and not is_about_vllm(text) else None


def program_of(text: str) -> Text | None:
    """The other program whose log a text is; None if it is none, or if vLLM speaks in it."""
    if any(sign in text for sign in _OWN):
        return None
    found = next((program.name for program in PROGRAMS if _compiled("|".join(program.signs)).search(text)), None)
    return None if found and _compiled(_OWN_CALL).search(text) else found


def kind_of(text: str) -> str:
    """What a text is that is not a log; "" if it may be one."""
    if _compiled(_POST).match(text):
        return ""
    logs = _compiled(_LOG).search(text) is not None
    return next((kind.key for kind in KINDS if not (kind.alone and logs) and _compiled(kind.signs).search(text)), "")


def is_about_vllm(text: str) -> bool:
    """Whether a text has to do with vLLM, what it is on, or how it is run."""
    return _compiled(f"(?i:{_ABOUT})").search(text) is not None


@lru_cache(maxsize=32)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
