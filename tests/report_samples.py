"""Diagnoses to print: small ones written out, and any that could ever be made."""

from __future__ import annotations

from hypothesis import strategies as st

from qvl_doctor.model import (
    PHASES,
    SEVERITIES,
    Alternative,
    Check,
    Commands,
    Diagnosis,
    Fact,
    Finding,
    Fix,
    Lead,
    Line,
    Phase,
    Run,
    Shown,
)


def text(en: str, zh: str) -> dict[str, str]:
    return {"en": en, "zh": zh}


TITLE = text("Transformers is too old to know qwen2_5_vl", "Transformers 版本过旧，无法识别 qwen2_5_vl")

FAILED = Diagnosis(
    source="pod.log",
    verdict="failed",
    summary=TITLE,
    facts={
        "vllm": Fact("0.7.2"),
        "engine": Fact("V0"),
        "transformers": Fact("4.48.3", "pip"),
        "ready": Fact(value=False),
    },
    findings=(
        Finding(
            rule="transformers-unknown-model-type",
            role="cause",
            severity="fatal",
            confidence="certain",
            title=TITLE,
            why=text(
                "vLLM reads config.json through Transformers, which knows qwen2_5_vl from 4.49 on. vLLM itself knows the architecture "
                "from 0.7.3 on. Upgrade both.",
                "vLLM 通过 Transformers 读取 config.json，而 Transformers 从 4.49 起才支持 qwen2_5_vl；vLLM 从 0.7.3 起才支持该架构。"
                "两者需一起升级。",
            ),
            evidence=(
                Line(12, "KeyError: 'qwen2_5_vl'"),
                Line(
                    31,
                    "ValueError: The checkpoint you are trying to load has model type `qwen2_5_vl` but Transformers does not recognize "
                    "this architecture. This could be because of an issue with the checkpoint, or because your version of Transformers is "
                    "out of date.",
                ),
            ),
            fixes=(
                Fix(
                    text("Upgrade both packages.", "同时升级两个软件包。"),
                    {"pip": ["vllm>=0.7.3", "transformers>=4.49"]},
                ),
                Fix(
                    text("Or run an image that has both.", "或使用已包含二者的镜像。"),
                    {"image": "qwenllm/qwenvl:2.5-cu121"},
                ),
            ),
            references=("https://github.com/vllm-project/vllm/issues/13446",),
        ),
        Finding(
            rule="engine-process-failed",
            role="symptom",
            severity="fatal",
            confidence="certain",
            title=text("The engine process failed to start", "引擎进程启动失败"),
            why=text("It follows.", "连带结果。"),
            evidence=(Line(45, "RuntimeError: Engine process failed to start. See stack trace for the root cause."),),
            times=2,
        ),
    ),
    runs=(
        Run(1, 50, "failed", "transformers-unknown-model-type"),
        Run(51, 99, "failed", "transformers-unknown-model-type"),
    ),
    not_checked=(text("The start command is not in the log.", "日志中没有启动命令。"),),
)

#: What no rule knows, with where to look.
UNKNOWN = FAILED._replace(
    findings=(
        FAILED.findings[0]._replace(
            rule="unrecognized-failure",
            fixes=(Fix(text("Search for its text.", "请搜索该文本。")),),
            references=(),
            leads=(
                Lead(text("The error itself names `--x`.", "报错文本本身提到了 `--x`。"), "words", ("--x",)),
                Lead(text("It was raised in the cache.", "报错发生在缓存中。"), "frame", ("--no-cache", "A=1")),
            ),
        ),
    ),
    runs=(),
)

#: The numbers of a real start-up of Qwen2.5-VL-7B (vLLM 0.7.2, V0, a 24 GB card).
HEALTHY = Diagnosis(
    source="-",
    verdict="healthy",
    summary=text("The server is ready; notices: 1", "服务已就绪；另有提示 1 条"),
    facts={
        "vllm": Fact("0.7.2.dev56+gbf3b79ef"),
        "engine": Fact("V0"),
        "model": Fact("/models/qwen/Qwen2___5-VL-7B-Instruct"),
        "args": Fact({"max_model_len": 1024}),
        "dtype": Fact("float16"),
        "gpu_memory_utilization": Fact(0.7),
        "total_gib": Fact(23.65),
        "budget_gib": Fact(16.55),
        "weights_gib": Fact(15.63),
        "non_torch_gib": Fact(0.08),
        "activation_gib": Fact(0.69),
        "kv_gib": Fact(0.16),
        "kv_tokens": Fact(2976),
        "concurrency": Fact(2.91),
        "concurrency_tokens": Fact(1024),
        "graphs_gib": Fact(1.91),
    },
    findings=(
        Finding(
            rule="kv-below-one-image",
            role="warning",
            severity="notice",
            confidence="likely",
            title=text(
                "The KV cache holds 2,976 tokens, one full-size image needs 16,384",
                "KV 缓存容纳 2,976 个 token，一张满尺寸图片需要 16,384 个",
            ),
            why=text("It is small.", "太小。"),
            evidence=(Line(24, "INFO 02-16 10:03:50 executor_base.py:110] # CUDA blocks: 186, # CPU blocks: 23405"),),
            fixes=(
                Fix(
                    text("Give vLLM more of the card.", "提高显存比例。"),
                    {"flags": {"--gpu-memory-utilization": "0.9"}},
                ),
            ),
        ),
    ),
    runs=(Run(1, 60, "healthy"),),
    timeline=(Phase("load", 22.9), Phase("profile", 12.83), Phase("graph-capture", 18.0)),
)

#: What a log could hold to style a terminal, to move its cursor, or to become something else than text in Markdown.
HOSTILE = (
    "\x1b[31mred\x1b]8;;http://evil.example\x07 \x9b2J \x08\x0d \u202egpj [bold]m[/bold] `c` ``` <img src=x onerror=y> @someone #123 "
    "https://evil.example www.evil.example a@b.example ![p](http://a/b) [l](http://a) $x$ <!-- c --> | a | &amp; \ud800"
)

# ---- Any diagnosis at all

TEXTS = st.text(st.characters(codec=None), max_size=60) | st.sampled_from(
    [HOSTILE, "", " ", "中文，测试。" * 9, "x" * 300, "\n\n- a\n# b"]
)
BOTH = st.builds(text, TEXTS, TEXTS)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)
NAMES = st.sampled_from(
    [
        "model",
        "dtype",
        "total_gib",
        "weights_gib",
        "kv_gib",
        "kv_tokens",
        "graphs_gib",
        "gpu_total_gib",
        "gpu_free_gib",
        "gpu_name",
        "args",
        "engine",
    ]
)
PLAIN = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "flags": st.dictionaries(
            PLAIN.map("--{}".format), st.sampled_from([True, None]) | TEXTS | st.lists(TEXTS, max_size=2), max_size=3
        ),
        "env": st.dictionaries(PLAIN, st.none() | TEXTS, max_size=2),
        "pip": st.lists(TEXTS, min_size=1, max_size=2),
        "image": TEXTS,
        "pod": TEXTS,
        "run": TEXTS,
    },
)
FIXES = st.builds(Fix, BOTH, CHANGES, st.none() | st.fixed_dictionaries({"by": TEXTS, "detail": TEXTS}))
ALTERNATIVES = st.builds(
    Alternative,
    BOTH,
    CHANGES,
    st.dictionaries(PLAIN, st.integers() | st.floats() | TEXTS, max_size=3),
    st.none() | st.fixed_dictionaries({"by": TEXTS, "detail": TEXTS}),
)
CHECKS = st.builds(
    Check,
    st.sampled_from(["packages", "gpu", "host", "model", "command"]),
    st.sampled_from(["python", "vllm", "cards"]),
    st.sampled_from(["ok", "warning", "problem", "unknown"]),
    BOTH,
    st.lists(PLAIN, max_size=2).map(tuple),
)
DIFFS = st.lists(st.tuples(st.sampled_from(["same", "removed", "added"]), TEXTS), max_size=4).map(tuple)
FILE_DIFFS = DIFFS | st.builds(lambda text: (("place", text), ("added", text)), TEXTS)
LINES = st.builds(Line, st.integers(0, 10**7), TEXTS)
FINDINGS = st.builds(
    Finding,
    rule=PLAIN,
    role=st.sampled_from(["cause", "symptom", "warning"]),
    severity=st.sampled_from(SEVERITIES),
    confidence=st.sampled_from(["certain", "likely", "unverified"]),
    title=BOTH,
    why=BOTH,
    evidence=st.lists(LINES, max_size=3).map(tuple) | st.lists(LINES, min_size=9, max_size=12).map(tuple),
    fixes=st.lists(FIXES, max_size=2).map(tuple),
    references=st.lists(TEXTS, max_size=2).map(tuple),
    times=st.integers(1, 10**6),
    leads=st.lists(
        st.builds(Lead, BOTH, st.sampled_from(["words", "frame", "pair"]), st.lists(TEXTS, max_size=2).map(tuple)),
        max_size=3,
    ).map(tuple),
)
VERDICTS = st.sampled_from(["failed", "degraded", "healthy", "unknown"])
DIAGNOSES = st.builds(
    Diagnosis,
    source=TEXTS,
    verdict=VERDICTS,
    summary=BOTH,
    facts=st.dictionaries(NAMES, st.builds(Fact, VALUES), max_size=6).map(dict),
    findings=st.lists(FINDINGS, max_size=3).map(tuple),
    runs=st.lists(st.builds(Run, st.integers(1, 99), st.integers(1, 10**6), VERDICTS, PLAIN), max_size=3).map(tuple),
    timeline=st.lists(st.builds(Phase, st.sampled_from(PHASES), st.floats(0, 1e6)), max_size=3).map(tuple),
    not_checked=st.lists(BOTH, max_size=2).map(tuple),
    command=st.none() | st.builds(Commands, TEXTS, TEXTS, DIFFS),
    alternatives=st.lists(ALTERNATIVES, max_size=2).map(tuple),
    patch=TEXTS,
    changes=FILE_DIFFS,
    checks=st.lists(CHECKS, max_size=3).map(tuple),
    shown=st.builds(Shown, ignored=st.lists(FINDINGS, max_size=1).map(tuple)),
)
