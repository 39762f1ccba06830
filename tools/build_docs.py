"""Writes the documents that are made of the rules: docs/rules.md, docs/rules.zh.md and docs/rules-review.md.

python tools/build_docs.py            writes them
python tools/build_docs.py --check    exits with 1 if one of them is not what the rules say
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from qvl_doctor.model import Rule
from qvl_doctor.report.markdown import escape
from qvl_doctor.report.rule_page import markdown, readable
from qvl_doctor.rulebook import load

ROOT = Path(__file__).resolve().parent.parent


class Topic(NamedTuple):
    """A chapter: its name, and how the ids of its rules begin. Of all beginnings that fit, the longest decides."""

    en: str
    zh: str
    ids: str = ""


#: The order is that of the chapters; what fits nowhere belongs to the last one.
TOPICS = (
    Topic(
        "Out of GPU memory",
        "显存不足",
        "oom- cuda-error-out-of-memory gpu-memory- gpu-utilization external-weights mm-gpu-decode swap-space cpu-offload",
    ),
    Topic(
        "KV cache and context length",
        "KV 缓存与上下文长度",
        "kv- max-model-len max-length tokens-above batched- cpu-kv mamba- rope-",
    ),
    Topic(
        "Images, videos and audio",
        "图像、视频与音频",
        "mm- image- video- media- local-media limit-mm multimodal model-not-multimodal embeds encoder- processor- vision- request-mm "
        "request-media",
    ),
    Topic("Chat templates, tools and reasoning", "对话模板、工具与推理", "chat- tool- reasoning- request-chat"),
    Topic("Structured outputs", "结构化输出", "structured-"),
    Topic(
        "Requests",
        "请求",
        "prompt- api- model-name max-tokens token- logprobs request- http- data-parallel-rank-of-request",
    ),
    Topic(
        "The model and its config",
        "模型与配置",
        "architecture config-json config-format config-without model- trust- remote-code transformers- qwen- runner- task- speculative",
    ),
    Topic("Tokenizer", "分词器", "tokenizer- python-library-for-tokenizer transformers-tokenizer"),
    Topic("Hugging Face Hub and downloads", "Hugging Face Hub 与下载", "hf- huggingface download- modelscope"),
    Topic("Weights", "权重", "weights- load sharded-"),
    Topic(
        "Quantization and number formats",
        "量化与数值格式",
        "quantization bitsandbytes gguf fp8 mxfp4 moe- tp-fp8 tp-quantized kv-cache-dtype kv-cache-fp8 kv-cache-scales dtype bfloat16 "
        "float16 cpu-without-half",
    ),
    Topic("LoRA", "LoRA", "lora- runtime-lora"),
    Topic("Attention", "注意力", "attention- flash xformers vision-attention"),
    Topic(
        "CUDA graphs, compilation and kernels",
        "CUDA graph、编译与算子",
        "cudagraph compile torch-compile triton ptxas nvcc ninja linker kernel- model-runner async encoder-cudagraph cuda-home "
        "cuda-headers",
    ),
    Topic(
        "Several GPUs and nodes",
        "多卡与多机",
        "nccl ray- tp- pipeline data-parallel distributed worker executor nnodes not-enough p2p custom-all gpu-peer nvlink gpus-",
    ),
    Topic(
        "GPU, driver and CUDA libraries",
        "GPU、驱动与 CUDA 库",
        "cuda- cublas driver nvidia no-cuda gpu- gpu-memory-broken fabric torch- rocm device- platform jetson wsl pynvml container-needs "
        "container-toolkit",
    ),
    Topic(
        "Python packages and system libraries",
        "Python 包与系统库",
        "python- numpy pydantic protobuf package torchvision vllm- extension c-extension glibc system-",
    ),
    Topic(
        "Containers, Kubernetes and the host",
        "容器、Kubernetes 与主机",
        "container host- home disk storage threads too-many user- command probe service- no-node ipc image-for image-not vllm-port windows "
        "omp",
    ),
    Topic("The engine died", "引擎退出", "engine- native bus- spawn fork"),
    Topic(
        "Starting the server: flags, ports, environment",
        "启动参数、端口与环境变量",
        "api-server host-address model-as-option",
    ),
)

_WORDS = {
    "en": {
        "title": "What qvl-doctor knows",
        "intro": "{count} rules, made of [`rules/`](../rules) by `tools/build_docs.py`. In the terminal: `qvl-doctor explain RULE`.",
        "other": "[中文](rules.zh.md) · [how a rule is written](rules-format.md) · [what was checked](rules-review.md)",
        "seen": "vLLM's own text, in the sources of {ranges}",
    },
    "zh": {
        "title": "qvl-doctor 认识的故障",
        "intro": "共 {count} 条规则，由 `tools/build_docs.py` 根据 [`rules/`](../rules) 生成。在终端查看：`qvl-doctor explain RULE`。",
        "other": "[English](rules.md) · [规则格式（英文）](rules-format.md) · [核对记录（英文）](rules-review.md)",
        "seen": "vLLM 自身的报错，见于 {ranges} 的源码",
    },
}
_VLLM_SOURCE = re.compile(
    r"https://github\.com/vllm-project/vllm/(?:blob|tree)/v?(?P<release>[^/]+)/(?P<file>[^#]+)(?P<line>#L\d+(?:-L\d+)?)?"
)
_THREAD = re.compile(r"https://github\.com/(?P<repository>[^/]+/[^/]+)/(?:issues|pull|discussions)/(?P<number>\d+)\S*")


def rules_page(rules: Sequence[Rule], lang: str) -> str:
    """All rules by topic, with a table of contents."""
    said = _WORDS[lang]
    chapters = list(_chapters(rules))
    lines = [f"# {said['title']}", "", said["intro"].format(count=len(rules)), "", said["other"], ""]
    for topic, own in chapters:
        lines += [f"**{getattr(topic, lang)}**", ""]
        lines += [f"- [{escape(readable(rule.title[lang]))}](#{rule.id})" for rule in own]
        lines.append("")
    for topic, own in chapters:
        lines += [f"## {getattr(topic, lang)}", ""]
        lines += [line for rule in own for line in _section(rule, lang, rules)]
    return "\n".join(lines).rstrip() + "\n"


def review_page(rules: Sequence[Rule]) -> str:
    """What every rule of severity fatal was held against."""
    fatal = [rule for rule in rules if rule.severity == "fatal"]
    lines = [
        "# What the rules were held against",
        "",
        f"The {len(fatal)} rules of severity fatal, made of their files by `tools/build_docs.py`. *Releases* are those of vLLM whose",
        "sources have a text of the rule (`seen_in`, from the catalogue of messages); a dash means that the text is somebody else's:",
        "torch's, NCCL's, the system's.",
        "",
        "| rule | releases | read | checked |",
        "|---|---|---|---|",
    ]
    for rule in fatal:
        read = ", ".join(map(_source, rule.references))
        lines.append(
            f"| [{rule.id}](rules.md#{rule.id}) | {', '.join(rule.seen_in) or '–'} | {read} | {escape(rule.checked) or '**not yet**'} |"
        )
    return "\n".join(lines) + "\n"


def topic_of(rule_id: str) -> Topic:
    """The chapter of a rule."""
    fitting = [
        (len(begin), number)
        for number, topic in enumerate(TOPICS)
        for begin in topic.ids.split()
        if rule_id.startswith(begin)
    ]
    return TOPICS[max(fitting)[1]] if fitting else TOPICS[-1]


def _chapters(rules: Sequence[Rule]) -> Iterator[tuple[Topic, list[Rule]]]:
    for topic in TOPICS:
        own = [rule for rule in rules if topic_of(rule.id) is topic]
        if own:
            yield topic, own


def _section(rule: Rule, lang: str, rules: Sequence[Rule]) -> Iterator[str]:
    """A rule's page, with an anchor and the releases that have its text; related rules are links."""
    said = _WORDS[lang]
    heading, _, notes, *rest = markdown(rule, lang, rules, level=3).splitlines()
    yield from (f'<a id="{rule.id}"></a>', "", heading, "", notes)
    if rule.seen_in:
        yield from ("", said["seen"].format(ranges=", ".join(rule.seen_in)))
    related = {
        name
        for other in rules
        for name in (*other.explains, other.id)
        if rule.id in other.explains or name in rule.explains
    }
    for line in _one_example(rest):
        name = (
            next((name for name in related if re.search(rf"(?<![\w-]){name}(?![\w-])", line)), "")
            if line.startswith("- ")
            else ""
        )
        yield line.replace(name, f"[{name}](#{name})", 1) if name else line
    yield ""


def _one_example(lines: Sequence[str]) -> Iterator[str]:
    """A page without its second example: with all of them GitHub no longer renders the document."""
    begin = next(number for number, line in enumerate(lines) if line.startswith("```"))
    end = next(
        number
        for number, line in enumerate(lines)
        if number > begin and line == lines[begin].rstrip("abcdefghijklmnopqrstuvwxyz")
    )
    example = lines[begin:end]
    yield from lines[:begin]
    yield from example[: example.index("")] if "" in example else example
    yield from lines[end:]


def _source(url: str) -> str:
    """A reference as a short link: the file and its release, or the thread's number."""
    source, thread = _VLLM_SOURCE.fullmatch(url), _THREAD.fullmatch(url)
    if source:
        return f"[{source['file'].removeprefix('vllm/')} {source['release'][:12]}]({url})"
    if thread:
        return f"[{thread['repository']}#{thread['number']}]({url})"
    return f"[{url.split('/')[2]}]({url})"


def documents(rules: Sequence[Rule]) -> dict[str, str]:
    """File name in docs/ → text."""
    return {
        "rules.md": rules_page(rules, "en"),
        "rules.zh.md": rules_page(rules, "zh"),
        "rules-review.md": review_page(rules),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if a document is not what the rules say"
    )
    parser.add_argument("--rules", type=Path, default=ROOT / "rules")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    options = parser.parse_args(arguments)
    stale = []
    for name, text in documents(load(str(options.rules))).items():
        path = options.docs / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not options.check:
                path.write_text(text, encoding="utf-8")
    if options.check:
        for name in stale:
            print(f"docs/{name} is not what the rules say; run `python tools/build_docs.py`")
        return int(bool(stale))
    print(f"written: {', '.join(stale) or 'nothing, all were right'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
