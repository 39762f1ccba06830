"""What vLLM prints about its arguments and configuration, read without evaluating it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl_doctor.logs.arguments import parse_arguments, parse_engine_config


def test_namespace_of_old_releases() -> None:
    text = (
        "args: Namespace(subparser='serve', model_tag='/srv/models/tiny', host=None, port=8280, allowed_origins=['*'], middleware=[], "
        "config_format=<ConfigFormat.AUTO: 'auto'>, gpu_memory_utilization=0.9, max_model_len=2048, enforce_eager=True, "
        "model_loader_extra_config={}, limit_mm_per_prompt={'image': 2, 'video': 0}, scheduler_delay_factor=0.0, "
        "lora_modules=[LoRAModulePath(name='sql', path='/srv/sql', base_model_name=None)], "
        "dispatch_function=<function ServeSubcommand.cmd at 0x7f89b7d5cc20>)"
    )
    assert parse_arguments(text) == {
        "subparser": "serve",
        "model_tag": "/srv/models/tiny",
        "host": None,
        "port": 8280,
        "allowed_origins": ["*"],
        "middleware": [],
        "config_format": "auto",
        "gpu_memory_utilization": 0.9,
        "max_model_len": 2048,
        "enforce_eager": True,
        "model_loader_extra_config": {},
        "limit_mm_per_prompt": {"image": 2, "video": 0},
        "scheduler_delay_factor": 0.0,
        "lora_modules": [{"name": "sql", "path": "/srv/sql", "base_model_name": None}],
        "dispatch_function": "<function ServeSubcommand.cmd>",
    }


def test_non_default_args_of_new_releases() -> None:
    text = (
        "non-default args: {'model_tag': '/srv/models/tiny', 'host': '127.0.0.1', 'port': 8310, 'max_model_len': 2048, "
        "'enforce_eager': True, 'limit_mm_per_prompt': {'image': 2, 'video': 0}, 'served_model_name': ['a', 'b'], "
        "'mm_processor_kwargs': {'max_pixels': 1003520}, 'compilation_config': {'mode': <CompilationMode.NONE: 0>}}"
    )
    assert parse_arguments(text) == {
        "model_tag": "/srv/models/tiny",
        "host": "127.0.0.1",
        "port": 8310,
        "max_model_len": 2048,
        "enforce_eager": True,
        "limit_mm_per_prompt": {"image": 2, "video": 0},
        "served_model_name": ["a", "b"],
        "mm_processor_kwargs": {"max_pixels": 1003520},
        "compilation_config": {"mode": "NONE"},
    }


def test_engine_configuration() -> None:
    text = (
        "Initializing a V1 LLM engine (v0.11.0) with config: model='/srv/models/tiny', speculative_config=None, dtype=torch.bfloat16, "
        "max_seq_len=2048, load_format=LoadFormat.AUTO, quantization=None, kv_cache_dtype=auto,  device_config=cpu, "
        "decoding_config=DecodingConfig(backend='auto', reasoning_parser=''), served_model_name=/srv/models/tiny, "
        'pooler_config=None,compilation_config={"level":0,"splitting_ops":null,"use_inductor":true,"capture_sizes":[1,2]}'
    )
    assert parse_engine_config(text) == {
        "model": "/srv/models/tiny",
        "speculative_config": None,
        "dtype": "torch.bfloat16",
        "max_seq_len": 2048,
        "load_format": "LoadFormat.AUTO",
        "quantization": None,
        "kv_cache_dtype": "auto",
        "device_config": "cpu",
        "decoding_config": {"backend": "auto", "reasoning_parser": ""},
        "served_model_name": "/srv/models/tiny",
        "pooler_config": None,
        "compilation_config": {"level": 0, "splitting_ops": None, "use_inductor": True, "capture_sizes": [1, 2]},
    }


def test_comma_that_old_releases_forget() -> None:
    text = "with config: num_scheduler_steps=1, chunked_prefill_enabled=False multi_step_stream_outputs=True, seed=0,"
    assert parse_engine_config(text) == {
        "num_scheduler_steps": 1,
        "chunked_prefill_enabled": False,
        "multi_step_stream_outputs": True,
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("args: Namespace(。。。)", {}),
        ("args: Namespace(...)", {}),
        ("args: Namespace(model='a', 。。。, port=1)", {"model": "a", "port": 1}),
        ("args: Namespace(model='a', …, port=1)", {"model": "a", "port": 1}),
        ("non-default args: {'model': 'a', ...}", {"model": "a"}),
        ("Initializing a V0 LLM engine (v0.7.2) with config: model='a', 。。。, use_cached_outputs=True,", {}),
        ("nothing of the kind", {}),
    ],
)
def test_people_cut_with_dots(text: str, expected: dict[str, object]) -> None:
    assert parse_arguments(text) == expected


def test_engine_configuration_cut_with_dots() -> None:
    text = "Initializing a V0 LLM engine (v0.7.2.dev56+gbf3b79ef) with config: model='/models/qwen', 。。。, use_cached_outputs=True,"
    assert parse_engine_config(text) == {"model": "/models/qwen", "use_cached_outputs": True}


WHOLE = "non-default args: {'model': 'it\\'s', 'max_model_len': 2048, 'limit_mm_per_prompt': {'image': 2, 'video': 0}, 'x': [1, 2]}"


def test_what_is_cut_off_is_left_out() -> None:
    whole = parse_arguments(WHOLE)
    assert whole == {
        "model": "it's",
        "max_model_len": 2048,
        "limit_mm_per_prompt": {"image": 2, "video": 0},
        "x": [1, 2],
    }
    for length in range(len(WHOLE)):
        cut = parse_arguments(WHOLE[:length])
        assert cut.items() <= whole.items(), WHOLE[:length]
    assert parse_arguments(WHOLE[: WHOLE.index("48,")]) == {"model": "it's"}


def test_string_escapes() -> None:
    assert parse_arguments(r"Namespace(a='x\n\'y\'\\', b='')") == {"a": "x\n'y'\\", "b": ""}
    assert parse_arguments(r"Namespace(c='中\u4e2d\x41', d=b'raw', e=" + '"it\'s")') == {
        "c": "中中A",
        "d": "raw",
        "e": "it's",
    }


def test_secrets_are_masked() -> None:
    text = "Namespace(api_key=['sk-abc'], hf_token='hf_x', ssl_keyfile_password='p', max_num_batched_tokens=5, tokenizer='t')"
    assert parse_arguments(text) == {
        "api_key": "***",
        "hf_token": "***",
        "ssl_keyfile_password": "***",
        "max_num_batched_tokens": 5,
        "tokenizer": "t",
    }
    assert parse_arguments("Namespace(api_key=None, hf_token=True)") == {"api_key": None, "hf_token": True}


def test_objects_and_calls() -> None:
    text = "Namespace(a=PosixPath('/x'), b=<object object at 0x1>, c=<a of <b at 0x2>>, d=frozenset({1, 2}), e=Empty(), f=-1e-06, g=0x10)"
    assert parse_arguments(text) == {
        "a": "/x",
        "b": "<object object>",
        "c": "<a of <b>>",
        "d": [1, 2],
        "e": {},
        "f": -1e-06,
        "g": "0x10",
    }


@pytest.mark.parametrize(
    "unit",
    [
        "{",
        "a=(",
        "<",
        "a=<b, ",
        "'",
        "1:",
        "{},",
        "a='\\",
        "a=b(1",
        "x ",
        ", ",
        "...,",
        "'a':",
        "a" * 30,
        "\\",
        "=",
        ")",
        "a= ",
    ],
)
@pytest.mark.parametrize("start", ["Namespace(", "{", "with config: a="])
def test_hostile_text_takes_bounded_time(start: str, unit: str) -> None:
    text = start + unit * (1_000_000 // len(unit))
    began = time.process_time()
    parse_arguments(text)
    parse_engine_config(text)
    assert time.process_time() - began < 2


@given(
    st.lists(
        st.sampled_from(
            ["Namespace(", "{", "}", "(", ")", "[", "]", "a=", "'b'", "'", ":", ",", " ", "<A.B: 1>", "1", "\\", "…"]
        )
    )
)
def test_any_text_gives_json(parts: list[str]) -> None:
    text = "".join(parts)
    json.dumps([parse_arguments(text), parse_engine_config(text)])


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    json.dumps([parse_arguments("args: {" + text), parse_engine_config(text)])


@pytest.mark.parametrize(
    ("sign", "meant"), [("n", "\n"), ("t", "\t"), ("r", "\r"), ("0", "\0"), ("q", "q"), ("\\", "\\")]
)
def test_each_escape(sign: str, meant: str) -> None:
    assert parse_arguments(f"Namespace(a='x\\{sign}y')") == {"a": f"x{meant}y"}


@pytest.mark.parametrize(
    ("word", "value"),
    [("None", None), ("True", True), ("False", False), ("null", None), ("true", True), ("false", False)],
)
def test_each_word_for_a_value(word: str, value: object) -> None:
    assert parse_arguments(f"Namespace(a={word}, b=[{word}], c={{'d': {word}}})") == {
        "a": value,
        "b": [value],
        "c": {"d": value},
    }


@pytest.mark.parametrize(
    "name",
    ["api_key", "apikey", "API_KEY", "hf_token", "auth_token", "a_password", "passwd", "b_secret", "ssl_password"],
)
def test_each_name_of_a_secret(name: str) -> None:
    assert parse_arguments(f"Namespace({name}='Zk3v9QxT71pLmN8s', model='m')") == {name: "***", "model": "m"}
