"""Leads for what no rule knows.

From the error's own words, from the innermost telling frame, from the pair of packages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from platform_words import WORDS

from qvl_doctor import knowledge
from qvl_doctor.diagnose.engine import Diagnosing
from qvl_doctor.diagnose.leads import lead_of, leads_of
from qvl_doctor.knowledge.features import features
from qvl_doctor.logs.records import read_records
from qvl_doctor.model import PLATFORMS, UNRECOGNIZED, Fact, Facts, Frame, Lead, Line, Record

PACKAGES = "/usr/lib/python3/dist-packages"
NEWEST = list(knowledge.table("pins")["releases"])[-1]


def facts(**values: Any) -> Facts:
    return {name: Fact(value, "log") for name, value in values.items()}


def raised(message: str, *places: str, exception: str = "RuntimeError") -> Record:
    """An exception with frames, the outermost first: "vllm/x.py:function"."""
    frames = [Frame(f"{PACKAGES}/{file}", 7, function) for file, function in (place.split(":") for place in places)]
    return Record((Line(1, message or exception),), message, exception=exception, frames=tuple(frames))


def leads(record: Record, known: Facts | None = None) -> list[tuple[str, tuple[str, ...]]]:
    return [(lead.ground, lead.settings) for lead in leads_of([record], known or {})]


# ---- The error's own words


@pytest.mark.parametrize(
    ("message", "settings"),
    [
        ("widget count must be below max_num_seqs", [("--max-num-seqs",)]),
        ("the widget needs --enable-lora", [("--enable-lora",)]),
        ("a tensor parallel size of 3 does not divide the widgets", [("--tensor-parallel-size",)]),
        # JSON of an API and a shell's quotes around it.
        ('{"message": "\\"auto\\" needs \\"--tool-call-parser\\""}', [("--tool-call-parser",)]),
        # A list of all settings names none of them; nor does a command.
        ("one of max_num_seqs, max_model_len, max_loras, max_lora_rank, enable_lora is off", []),
        ("vllm serve m --max-num-seqs 4 --max-model-len 8 --enable-lora --dtype half: exit 1", []),
        # What comes after it is a dump of values.
        ("1 validation error [type=value_error, input_value={'max_num_seqs': 8}]", []),
        ("no such widget in VllmConfig(max_num_seqs=8)", []),
        # Code of two releases.
        ("Widgets.__init__() got an unexpected keyword argument 'limit_mm_per_prompt'", []),
        # Words in a row that name nothing.
        ("the number of guests exceeds the chairs in the kitchen", []),
        ("Attention! The backend of the theater is locked.", []),
        ("", []),
    ],
)
def test_what_the_error_names(message: str, settings: list[tuple[str, ...]]) -> None:
    assert leads(raised(message)) == [("words", each) for each in settings]


def test_the_value_that_the_command_gives_is_shown() -> None:
    known = facts(args={"max_num_seqs": 16, "api_key": "x" * 200, "enable_lora": True})
    (lead,) = leads_of([raised("too many widgets for max_num_seqs")], known)
    assert "`--max-num-seqs 16`" in lead.text["en"]
    assert "`--max-num-seqs 16`" in lead.text["zh"]
    assert lead.settings == ("--max-num-seqs",)
    (lead,) = leads_of([raised("no api_key for widgets")], known)
    assert "xxx" not in lead.text["en"]


def test_prose_of_people_is_not_searched_to_its_end() -> None:
    line = Record((Line(1, "x"),), "Trouble is, the widget broke. " * 10 + "I also set --max-num-seqs.")
    assert leads(line) == []
    assert leads(line._replace(message="error: the widget needs --max-num-seqs")) == [("words", ("--max-num-seqs",))]


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("vllm/v1/worker/gpu_worker.py", [("--tensor-parallel-size",)]),
        # A model's own code, and that of strangers.
        ("vllm/model_executor/layers/linear.py", []),
        ("company/harbor.py", []),
    ],
)
def test_the_line_of_code_that_a_traceback_prints(file: str, settings: list[tuple[str, ...]]) -> None:
    log = f"""ERROR 02-16 10:03:20 [core.py:900] Traceback (most recent call last):
ERROR 02-16 10:03:20 [core.py:900]   File "{PACKAGES}/{file}", line 7, in init_device
ERROR 02-16 10:03:20 [core.py:900]     assert self.parallel_config.tensor_parallel_size <= widgets
ERROR 02-16 10:03:20 [core.py:900] AssertionError
"""
    (record,) = [each for each in read_records(log) if each.exception]
    assert leads(record) == [("words", each) for each in settings]


def test_a_variable_of_another_platform_is_not_named() -> None:
    record = raised("VLLM_ROCM_USE_AITER must be set for widgets")
    assert leads(record, facts(platform="rocm")) == [("words", ("VLLM_ROCM_USE_AITER",))]
    assert leads(record, facts(platform="ascend")) == []


# ---- The innermost telling frame

ENGINE = ("vllm/v1/engine/core.py:run_engine_core", "vllm/v1/worker/gpu_model_runner.py:execute_model")


@pytest.mark.parametrize(
    ("places", "known", "settings"),
    [
        (["vllm/v1/spec_decode/eagle.py:propose"], {}, ("--speculative-config",)),
        (["vllm/spec_decode/multi_step_worker.py:f"], {"vllm": "0.7.3"}, ("--speculative-model",)),
        (["vllm/multimodal/cache.py:get"], {"vllm": "0.20.0"}, ("--mm-processor-cache-gb 0",)),
        (["vllm/multimodal/cache.py:get"], {"vllm": "0.9.2"}, ("--disable-mm-preprocessor-cache",)),
        (["vllm/v1/attention/backends/flash_attn.py:f"], {"vllm": NEWEST}, ("--attention-backend TRITON_ATTN",)),
        (
            ["vllm/v1/attention/backends/flash_attn.py:f"],
            {"vllm": "0.10.0"},
            ("VLLM_ATTENTION_BACKEND=TRITON_ATTN_VLLM_V1",),
        ),
        (["vllm/v1/attention/backends/flash_attn.py:f"], {"vllm": "0.7.0"}, ("VLLM_ATTENTION_BACKEND=XFORMERS",)),
        (
            ["vllm/v1/structured_output/backend_xgrammar.py:f"],
            {"vllm": NEWEST},
            ("""--structured-outputs-config '{"backend": "guidance"}'""",),
        ),
        # What fails below a feature is raised in it, if nobody else owns it.
        (["vllm/lora/layers/base.py:f", "torch/nn/modules/module.py:_call_impl"], {}, ("--enable-lora",)),
        # The innermost one counts.
        (
            ["vllm/v1/worker/gpu_model_runner.py:capture_model", "vllm/v1/spec_decode/eagle.py:f"],
            {},
            ("--speculative-config",),
        ),
        # A release that has none of the ways, and a card that can go none but the last.
        (["vllm/model_executor/layers/mamba/gdn/base.py:f"], {"vllm": "0.12.0"}, None),
        (
            ["vllm/v1/attention/ops/triton_unified_attention.py:f"],
            {"vllm": NEWEST, "compute_capability": "7.5"},
            ("--attention-backend FLASHINFER",),
        ),
        # A model's code, an import, a program around vLLM.
        (["vllm/compilation/backends.py:f", "vllm/model_executor/models/llama.py:forward"], {}, None),
        (["vllm/compilation/backends.py:f", "vllm/lora/layers/base.py:<module>"], {}, None),
        (ENGINE, {}, None),
        ([], {}, None),
    ],
)
def test_the_feature_of_a_frame(places: Sequence[str], known: dict[str, str], settings: tuple[str, ...] | None) -> None:
    assert leads(raised("a widget broke", *places), facts(**known)) == ([("frame", settings)] if settings else [])


def test_a_path_of_windows_is_a_path() -> None:
    frame = Frame(r"D:\env\Lib\site-packages\vllm\v1\spec_decode\eagle.py", 7, "propose")
    (lead,) = leads_of([raised("a widget broke")._replace(frames=(frame,))], {})
    assert lead.settings == ("--speculative-config",)
    assert "(eagle.py:7 propose)" in lead.text["en"]


def test_code_of_the_user_below_a_feature_owns_what_fails_in_it() -> None:
    record = raised("a widget broke", "vllm/plugins/__init__.py:load_plugins_by_group")
    assert leads(record) == [("frame", ("VLLM_PLUGINS=",))]
    inner = Frame("/home/me/my_plugin/widgets.py", 3, "register")
    assert leads(record._replace(frames=(*record.frames, inner))) == []


@pytest.mark.parametrize(
    ("place", "known", "given"),
    [
        ("vllm/v1/spec_decode/eagle.py:f", {"args": {"model": "m"}}, False),
        ("vllm/v1/spec_decode/eagle.py:f", {"args": {"speculative_config": {"method": "mtp"}}}, True),
        ("vllm/compilation/backends.py:f", {"args": {"enforce_eager": True}}, False),
        ("vllm/compilation/backends.py:f", {"args": {"enforce_eager": False}}, True),
        ("vllm/compilation/backends.py:f", {"enforce_eager": "yes"}, False),
        ("vllm/compilation/backends.py:f", {"enforce_eager": "no"}, True),
        ("vllm/v1/core/kv_cache_manager.py:get_computed_blocks", {"args": {"enable_prefix_caching": False}}, False),
        ("vllm/v1/core/kv_cache_manager.py:get_computed_blocks", {"prefix_caching": "no"}, False),
        ("vllm/v1/core/kv_cache_manager.py:get_computed_blocks", {"args": {"enable_prefix_caching": True}}, True),
        ("vllm/multimodal/cache.py:get", {"args": {"mm_processor_cache_gb": 0}}, False),
        ("vllm/multimodal/cache.py:get", {"args": {"mm_processor_cache_gb": 4}}, True),
        (
            "vllm/v1/structured_output/backend_xgrammar.py:f",
            {"args": {"structured_outputs_config": {"backend": "guidance"}}},
            False,
        ),
        ("vllm/v1/structured_output/backend_xgrammar.py:f", {"args": {}}, True),
        # What is only to be looked at may be there.
        ("vllm/lora/peft_helper.py:f", {"args": {"lora_modules": ["a=b"]}}, True),
    ],
)
def test_what_the_command_already_has_is_not_proposed(place: str, known: dict[str, Any], given: bool) -> None:
    assert bool(leads(raised("a widget broke", place), facts(**known))) is given


@pytest.mark.parametrize("exception", ["FileNotFoundError", "PermissionError", "ConnectionError", "requests.Timeout"])
def test_what_the_surroundings_did_says_nothing_of_a_feature(exception: str) -> None:
    assert leads(raised("no widget", "vllm/compilation/backends.py:f", exception=exception)) == []
    files = raised("no widget", "uvicorn/config.py:create_ssl_context", exception=exception)
    assert leads(files) == [("frame", ("--ssl-certfile", "--ssl-keyfile"))]


def test_memory_that_ran_out_says_nothing_of_where() -> None:
    ran_out = [("torch.OutOfMemoryError", "x"), ("RuntimeError", "CUDA error: out of memory")]
    for exception, message in [*ran_out, ("KeyError", "'getpwuid(): uid not found: 1000'")]:
        assert leads(raised(message, "vllm/lora/peft_helper.py:f", exception=exception)) == []


def test_a_place_that_the_message_names() -> None:
    said = "Workspace is locked but allocation from 'turboquant_attn.py:879:_decode' requires 0.76 MB"
    assert leads(raised(said)) == [("frame", ("--kv-cache-dtype auto",))]


def test_words_are_nearer_than_frames() -> None:
    record = raised("LoRA rank 64 is over max_lora_rank", "vllm/lora/peft_helper.py:validate_legal")
    assert leads(record) == [("words", ("--max-lora-rank",))]


# ---- The pair

PROCESSOR = "transformers/models/auto/processing_auto.py:from_pretrained"


@pytest.mark.parametrize(
    ("message", "known", "given"),
    [
        ("got multiple values for argument 'widget'", {"vllm": "0.9.1"}, True),
        ("'Widget' object has no attribute 'w'", {"vllm": "0.9.1", "transformers": "4.55.0"}, True),
        # In the range that vLLM was made for; a symptom of what is too old; no sign of a break; no release.
        ("'Widget' object has no attribute 'w'", {"vllm": "0.9.1", "transformers": "4.52.4"}, False),
        ("has no attribute 'w', please upgrade Transformers", {"vllm": "0.9.1"}, False),
        ("list index out of range", {"vllm": "0.9.1"}, False),
        ("got multiple values for argument 'widget'", {}, False),
    ],
)
def test_the_pair(message: str, known: dict[str, str], given: bool) -> None:
    record = raised(message, "vllm/transformers_utils/processor.py:get_processor", PROCESSOR, exception="TypeError")
    asked = f"transformers{knowledge.transformers_advice('0.9.1')}"
    assert leads(record, facts(**known)) == ([("pair", (asked,))] if given else [])


def test_frames_of_others_say_nothing_of_the_pair() -> None:
    record = raised("unexpected keyword argument 'w'", PROCESSOR, "a/b.py:f", "a/b.py:f", "a/b.py:f")
    assert leads(record, facts(vllm="0.9.1")) == []


# ---- All of them


def all_leads(platform: str) -> list[Lead]:
    """Every lead to a feature, and to every variable that vLLM reads."""
    known = facts(platform=platform)
    frame = Frame(f"{PACKAGES}/vllm/x.py", 7, "f")
    found = [lead for _, feature in features() if (lead := lead_of(feature, frame, known))]
    variables = [f"{name} is needed for widgets" for name in knowledge.table("variables")["variables"]]
    return found + [lead for text in variables for lead in leads_of([raised(text)], known)]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_no_lead_names_another_platforms_tool(platform: str) -> None:
    found = all_leads(platform)
    assert len(found) > 100
    wrong = {
        (word[0], lead.text[lang])
        for lead in found
        for lang in ("en", "zh")
        for pattern, platforms in WORDS.items()
        if platform not in platforms
        for word in re.finditer(pattern, lead.text[lang])
    }
    assert not wrong


def test_no_lead_is_worded_as_the_cause() -> None:
    for lead in all_leads("cuda"):
        assert "That does not make it the cause" in lead.text["en"]
        assert "不等于它就是原因" in lead.text["zh"]


@pytest.mark.parametrize(
    "message", ["x_" * 50_000, "--" * 50_000, "a.py:1:" * 20_000, "名" * 50_000, "\x00\x1b[31m--x"]
)
def test_any_text_is_answered_soon(message: str) -> None:
    assert isinstance(leads_of([raised(message, "x/y.py:f")], {}), tuple)


def test_only_what_no_rule_knows_has_leads() -> None:
    log = f"""INFO 02-16 10:03:00 [api_server.py:1200] vLLM API server version 0.11.0
(EngineCore_DP0 pid=1) ERROR 02-16 10:03:20 [core.py:900] Traceback (most recent call last):
(EngineCore_DP0 pid=1) ERROR 02-16 10:03:20 [core.py:900]   File "{PACKAGES}/vllm/v1/spec_decode/eagle.py", line 1, in f
(EngineCore_DP0 pid=1) ERROR 02-16 10:03:20 [core.py:900] RuntimeError: a widget broke
"""
    engine = Diagnosing(())
    engine.feed(sorted(read_records(log), key=lambda record: record.first_line))
    (finding,) = engine.finish("-").findings
    assert finding.rule == UNRECOGNIZED
    assert [lead.settings for lead in finding.leads] == [("--speculative-config",)]
    assert not any("--speculative" in fix.text["en"] for fix in finding.fixes)


def test_a_request_that_failed_at_a_server_that_is_up_gets_no_lead() -> None:
    log = f"""INFO 02-16 10:03:00 [api_server.py:1200] vLLM API server version 0.11.0
INFO:     Application startup complete.
INFO:     127.0.0.1:50000 - "POST /v1/chat/completions HTTP/1.1" 200 OK
ERROR 02-16 10:03:20 [serving_chat.py:200] Traceback (most recent call last):
ERROR 02-16 10:03:20 [serving_chat.py:200]   File "{PACKAGES}/vllm/entrypoints/chat_utils.py", line 1, in apply_hf_chat_template
ERROR 02-16 10:03:20 [serving_chat.py:200] IndexError: a widget broke
INFO:     127.0.0.1:50000 - "POST /v1/chat/completions HTTP/1.1" 200 OK
"""
    engine = Diagnosing(())
    engine.feed(sorted(read_records(log), key=lambda record: record.first_line))
    findings = engine.finish("-").findings
    assert [(each.rule, each.severity, each.leads) for each in findings] == [(UNRECOGNIZED, "notice", ())]
