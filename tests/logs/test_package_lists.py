"""Package versions as pip and its relatives print them."""

from __future__ import annotations

import pytest
from fact_samples import read_facts
from hypothesis import given
from hypothesis import strategies as st

from qvl_doctor.logs.package_lists import read_pip
from qvl_doctor.logs.records import read_records


def versions(text: str) -> dict[str, object]:
    return {name: fact.value for name, fact in read_pip(text).items()}


def in_log(text: str) -> dict[str, object]:
    return {name: fact.value for name, fact in read_facts(read_records(text)).items() if fact.source == "pasted"}


@pytest.mark.parametrize(
    "text",
    [
        "transformers      4.49.0.dev0\nflash-attn        2.7.4.post1\nmy-own-package    1.0\n",
        "transformers==4.49.0.dev0\nflash_attn==2.7.4.post1\nmy-own-package==1.0\n",
        (
            "Package Version Editable project location\n------- ------- ----\ntransformers 4.49.0.dev0\nflash_attn 2.7.4.post1\n"
            "my.own-package 1.0 /home/me/own\n"
        ),
        (
            "# packages in environment at /opt/conda:\ntransformers 4.49.0.dev0 pypi_0 pypi\nflash-attn 2.7.4.post1 py311_0 conda-forge\n"
            "My_Own_Package 1.0 0\n"
        ),
        (
            "Name: transformers\nVersion: 4.49.0.dev0\nSummary: none\n---\nName: flash-attn\nVersion: 2.7.4.post1\n"
            "Name: my-own-package\nVersion: 1.0\nLocation: /x\n"
        ),
        "| transformers | 4.49.0.dev0 |\n| flash-attn | 2.7.4.post1 | x |\n| my-own-package | 1.0 |\n",
        "transformers==4.49.0.dev0 ; python_version >= '3.9'\nflash-attn 2.7.4.post1 2.8.0 wheel\nmy-own-package===1.0\n",
    ],
    ids=["list", "freeze", "table", "conda", "show", "markdown", "markers"],
)
def test_file_is_believed_in_all_of_it(text: str) -> None:
    assert versions(text) == {"transformers": "4.49.0.dev0", "flash_attn": "2.7.4.post1", "my_own_package": "1.0"}


def test_lines_are_numbered() -> None:
    assert read_pip("Package Version\n------- -------\nvllm 0.7.2.dev56+gbf3b79ef\n")["vllm"].line == 3


def test_what_names_no_version_is_passed_over() -> None:
    assert (
        versions("vllm @ git+https://github.com/x/y@abc\n-e git+https://x/y#egg=z\nnumpy\nWARNING: pip 24.0 is old\n\n")
        == {}
    )


PROMPT = "root@qwen-vl-84f5f8b99f-j7hfx:/data# pip list | grep -E 'vllm|transformers'"


def test_in_a_log_only_what_matters_counts() -> None:
    text = f"{PROMPT}\ntransformers 4.48.3\ntransformers-stream-generator 0.0.4\nmy-own-package 1.0\nvllm 0.7.2\n"
    assert in_log(text) == {"transformers": "4.48.3", "transformers_stream_generator": "0.0.4", "vllm": "0.7.2"}


def test_pip_list_right_behind_a_traceback() -> None:
    text = (
        "Traceback (most recent call last):\n"
        '  File "/opt/conda/lib/python3.11/site-packages/transformers/models/auto/configuration_auto.py", line 773, in __getitem__\n'
        "    raise KeyError(key)\n"
        "KeyError: 'qwen2_5_vl'\n"
        f"{PROMPT}\n"
        "transformers                             4.49.0.dev0\n"
        "vllm                                     0.7.2.dev56+gbf3b79ef\n"
    )
    assert in_log(text) == {"transformers": "4.49.0.dev0", "vllm": "0.7.2.dev56+gbf3b79ef"}


def test_banner_wins_over_pip_list() -> None:
    text = "vllm 0.7.2\nINFO 02-16 10:03:00 api_server.py:840] vLLM API server version 0.7.3\n"
    assert read_facts(read_records(text))["vllm"].value == "0.7.3"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("[pip3] torch==2.5.1", {"torch": "2.5.1"}),
        ("[conda] torch 2.5.1 pypi_0 pypi", {"torch": "2.5.1"}),
        (
            "Successfully installed huggingface-hub-0.27.1 my-own-1.0 transformers-4.49.0",
            {"huggingface_hub": "0.27.1", "transformers": "4.49.0"},
        ),
        (
            "Requirement already satisfied: transformers>=4.45 in /usr/lib/python3/site-packages (from vllm) (4.48.3)",
            {"transformers": "4.48.3"},
        ),
        (
            "ImportError: tokenizers>=0.20,<0.21 is required for a normal functioning of this module, but found tokenizers==0.21.0.",
            {"tokenizers": "0.21.0"},
        ),
        ("Using transformers 4.48.3 is not supported", {}),
        ("torch 2 is old", {}),
        ("vllm 0.7.2 is required", {}),
        ("torch 2.5.1 2.6.0 wheel", {"torch": "2.5.1"}),
        ("transformers: 4.48.3", {}),
        ("Collecting transformers>=4.49", {}),
        ("Triton 3.1.0 supports only these devices", {}),
        ("INFO 02-16 10:03:00 [utils.py:1] ray 2.9.0", {}),
    ],
)
def test_lines_of_a_log(line: str, found: dict[str, str]) -> None:
    assert in_log(line) == found


def test_later_install_counts() -> None:
    assert in_log("transformers 4.48.3\nSuccessfully installed transformers-4.49.0\n") == {"transformers": "4.49.0"}


@given(
    st.lists(
        st.sampled_from(
            ["torch", "vllm==", " ", "0.7.2", "Name: ", "Version: ", "|", "[pip3] ", "\n", ".", "1" * 30, "but found "]
        )
    )
)
def test_any_text_is_read(parts: list[str]) -> None:
    text = "".join(parts)
    assert set(in_log(text)) <= {"torch", "vllm"}
    read_pip(text)
