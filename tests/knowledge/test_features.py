"""Which feature a place in vLLM's code belongs to, what can be done with it by release, and what names settings."""

from __future__ import annotations

import re

import pytest

from qvl_doctor import knowledge
from qvl_doctor.knowledge import flag_table
from qvl_doctor.knowledge.features import DIRECTIONS, Feature, feature_of, features, is_owner, ways_in
from qvl_doctor.knowledge.settings import named_in, named_in_code
from qvl_doctor.model import PLATFORMS

ALL: list[Feature] = [feature for _, feature in features()]
RELEASES = list(knowledge.table("pins")["releases"])
NEWEST = RELEASES[-1]


@pytest.mark.parametrize(
    ("place", "name"),
    [
        # Files and functions of vLLM 0.6.6 to 0.33.0.
        ("vllm/v1/spec_decode/eagle.py:propose", "draft-head"),
        ("vllm/model_executor/models/deepseek_mtp.py:load_weights", "draft-head"),
        ("vllm/spec_decode/spec_decode_worker.py:_vocab_size", "draft-model"),
        ("vllm/v1/sample/rejection_sampler.py:forward", "draft-sampling"),
        ("vllm/multimodal/cache.py:get_and_update_item", "mm-cache"),
        ("vllm/multimodal/cache/shm.py:get", "mm-shm-cache"),
        ("vllm/distributed/device_communicators/shm_object_storage.py:put", "mm-shm-cache"),
        ("vllm/model_executor/models/vision.py:run_dp_sharded_vision_model", "encoder-data-parallel"),
        ("vllm/model_executor/layers/mamba/gdn/qwen_gdn_linear_attn.py:forward", "gdn"),
        ("vllm/model_executor/layers/fla/ops/chunk.py:chunk_gated_delta_rule", "gdn"),
        ("vllm/distributed/kv_transfer/kv_connector/v1/nixl/connector.py:start_load_kv", "nixl"),
        ("vllm/distributed/kv_transfer/kv_connector/v1/lmcache_connector.py:save_kv_layer", "lmcache"),
        ("vllm/distributed/kv_transfer/kv_transfer_state.py:ensure_kv_transfer_initialized", "kv-connector"),
        ("vllm/v1/kv_offload/cpu/manager.py:lookup", "kv-offload"),
        ("vllm/v1/attention/backends/flashinfer.py:forward", "flashinfer-attention"),
        ("vllm/v1/attention/backends/flash_attn.py:forward", "flash-attention"),
        ("vllm/v1/attention/backends/mla/cutlass_mla.py:forward_mqa", "mla-kernels"),
        ("vllm/attention/ops/triton_unified_attention.py:unified_attention", "triton-attention"),
        ("vllm/compilation/compiler_interface.py:compile", "inductor"),
        ("torch/_inductor/compile_fx.py:compile_fx", "inductor"),
        ("vllm/compilation/passes/fusion/allreduce_rms_fusion.py:__init__", "fusion-passes"),
        ("vllm/v1/worker/gpu_model_runner.py:capture_model", "graph-capture"),
        ("torch/cuda/graphs.py:capture_end", "graph-capture"),
        ("vllm/distributed/device_communicators/custom_all_reduce.py:__init__", "custom-all-reduce"),
        ("vllm/distributed/eplb/eplb_state.py:rearrange", "eplb"),
        ("vllm/lora/peft_helper.py:from_local_dir", "lora-adapter"),
        ("vllm/lora/layers/base_linear.py:apply", "lora-layers"),
        ("vllm/v1/structured_output/backend_xgrammar.py:compile_grammar", "xgrammar"),
        ("vllm/v1/sample/ops/topk_topp_sampler.py:flashinfer_sample", "flashinfer-sampler"),
        ("vllm/v1/core/kv_cache_manager.py:get_computed_blocks", "prefix-caching"),
        ("vllm/v1/core/kv_cache_utils.py:unify_hybrid_kv_cache_specs", "hybrid-kv"),
        ("vllm/v1/worker/utils.py:select_common_block_size", "kernel-block-size"),
        ("vllm/device_allocator/cumem.py:wake_up", "sleep-mode"),
        ("vllm/entrypoints/openai/tool_parsers/hermes_tool_parser.py:extract_tool_calls", "tool-parser"),
        ("vllm/reasoning/deepseek_r1_reasoning_parser.py:extract_reasoning", "reasoning-parser"),
        ("vllm/_aiter_ops.py:rms_norm", "aiter"),
        ("vllm/plugins/__init__.py:load_plugins_by_group", "plugins"),
        ("uvicorn/config.py:create_ssl_context", "tls"),
        # What only passes on what failed below, and what every start goes through, is no feature.
        ("vllm/tracing/otel.py:sync_wrapper", ""),
        ("vllm/v1/engine/core_client.py:get_output_async", ""),
        ("vllm/v1/executor/multiproc_executor.py:get_response", ""),
        ("vllm/distributed/device_communicators/shm_broadcast.py:dequeue", ""),
        ("vllm/engine/multiprocessing/client.py:run_output_handler_loop", ""),
        ("vllm/compilation/decorators.py:__call__", ""),
        ("vllm/compilation/cuda_graph.py:__call__", ""),
        ("vllm/v1/worker/gpu_model_runner.py:execute_model", ""),
        ("vllm/v1/engine/core.py:run_engine_core", ""),
        ("vllm/model_executor/models/llama.py:forward", ""),
        ("vllm/model_executor/layers/linear.py:forward", ""),
        ("company/harbor.py:wake_up", ""),
    ],
)
def test_a_place_belongs_to_a_feature(place: str, name: str) -> None:
    found = feature_of(f"/usr/lib/python3/dist-packages/{place}")
    assert (found.id if found else "") == name


@pytest.mark.parametrize(
    ("place", "owner"),
    [
        ("/x/vllm/model_executor/models/llama.py:forward", True),
        ("/x/vllm/model_executor/layers/linear.py:forward", True),
        ("/home/me/.cache/huggingface/modules/transformers_modules/m/modeling.py:forward", True),
        ("/x/vllm/model_executor/model_loader/utils.py:get_model", False),
        ("/x/vllm/v1/worker/gpu_worker.py:load_model", False),
    ],
)
def test_a_models_own_code_owns_what_fails_in_it(place: str, owner: bool) -> None:
    assert is_owner(place) is owner


@pytest.mark.parametrize("feature", ALL, ids=lambda feature: feature.id)
def test_a_feature_has_a_way_that_some_release_has(feature: Feature) -> None:
    assert feature.direction in DIRECTIONS
    assert feature.ways
    assert set(feature.platforms) <= set(PLATFORMS)
    assert any(list(ways_in(feature, release)) for release in RELEASES)
    for way in feature.ways:
        assert way.flags or way.env
        # A way that no release has is dead.
        assert any(way in ways_in(feature, release) for release in RELEASES), way


@pytest.mark.parametrize("feature", ALL, ids=lambda feature: feature.id)
def test_a_way_is_spelled_as_its_releases_spell_it(feature: Feature) -> None:
    for release in RELEASES:
        for way in ways_in(feature, release):
            assert not way.env or all(knowledge.variable(name) for name in way.env)
            for name, value in way.flags.items():
                found = flag_table.match(name, release)
                assert found
                assert found.name == name, (release, name)
                if value is True:
                    assert found.option.bare, (release, name)
                elif value is not None and feature.direction != "look" and found.option.choices:
                    assert value in found.option.choices, (release, name, value)


@pytest.mark.parametrize("feature", ALL, ids=lambda feature: feature.id)
def test_its_names_are_of_both_languages(feature: Feature) -> None:
    assert set(feature.name) == {"en", "zh"}
    assert not re.search(r"[\u4e00-\u9fff]", feature.name["en"])
    assert re.search(r"[\u4e00-\u9fff]", feature.name["zh"])


def test_a_card_that_is_too_old_for_a_way_gets_the_next() -> None:
    attention = next(feature for feature in ALL if feature.id == "triton-attention")
    assert next(ways_in(attention, NEWEST, "9.0")).flags == {"--attention-backend": "FLASH_ATTN"}
    assert next(ways_in(attention, NEWEST, "7.5")).flags == {"--attention-backend": "FLASHINFER"}
    assert next(ways_in(attention, NEWEST)).flags == {"--attention-backend": "FLASH_ATTN"}


@pytest.mark.parametrize(
    ("text", "release", "settings"),
    [
        ("max_num_seqs (8) must be at least 16", "", [("--max-num-seqs",)]),
        ("set `--max-model-len` lower", "", [("--max-model-len",)]),
        ("self.max_model_len is None", "", [("--max-model-len",)]),
        ("scheduler_config.max_num_batched_tokens: 5", "", [("--max-num-batched-tokens",)]),
        ("try VLLM_CPU_KVCACHE_SPACE", "", [("VLLM_CPU_KVCACHE_SPACE",)]),
        ("cache_dtype fp8 is not for this", "", [("--kv-cache-dtype",)]),
        ("local_world_size is 16", NEWEST, [("--tensor-parallel-size", "--pipeline-parallel-size", "--nnodes")]),
        # --nnodes is newer.
        ("local_world_size is 16", "0.8.5", [("--tensor-parallel-size", "--pipeline-parallel-size")]),
        ("the draft model has another vocabulary", NEWEST, [("--speculative-config",)]),
        ("the Mistral tokenizer has none", "", [("--tokenizer-mode",)]),
        # The flag itself is plainer than the words for it.
        ("--tensor-parallel-size: tensor parallel size 3", "", [("--tensor-parallel-size",)]),
        # What is no setting of vLLM's, or of any program.
        ("the block_size is 16", "", []),
        ("--frobnicate is not known", "", []),
        ("set VLLM_LOGGING_LEVEL=DEBUG", "", []),
        ("VLLM_NO_SUCH_THING", "", []),
        ("my_config_file.yaml, /srv/max_num_seqs/x, a.max_num_seqs.py", "", []),
        ("", "", []),
    ],
)
def test_what_a_text_names(text: str, release: str, settings: list[tuple[str, ...]]) -> None:
    assert [each.settings for each in named_in(text, release)] == settings


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("assert self.parallel_config.tensor_parallel_size <= n", [("--tensor-parallel-size",)]),
        ("if args.max_log_len < 0:", [("--max-log-len",)]),
        ("n = envs.VLLM_CPU_KVCACHE_SPACE", [("VLLM_CPU_KVCACHE_SPACE",)]),
        # Local names, methods, and what is no flag.
        ("max_num_seqs = tensor_parallel_size // 2", []),
        ("config.max_model_len()", []),
        ("config.num_hidden_layers", []),
    ],
)
def test_what_a_line_of_code_reads(line: str, settings: list[tuple[str, ...]]) -> None:
    assert [each.settings for each in named_in_code(line, "")] == settings


def test_every_name_and_phrase_leads_to_flags_that_exist() -> None:
    flags = set(knowledge.flags())
    phrases = knowledge.table("phrases")
    names = {**knowledge.table("settings")["names"], **phrases["names"]}
    assert not {flag for means in names.values() for flag in means} - flags
    for pattern, means in phrases["phrases"]:
        assert set(means) <= flags
        re.compile(pattern)
    assert all(1 <= len(means) <= 3 for means in names.values())
