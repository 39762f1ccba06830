"""Secrets are gone; what only looks like one stays, because a diagnosis needs it."""

import pytest

from qvl_doctor.redaction.line import redact

SECRET = "Zk3v9QxT71pLmN8s2RwB"


@pytest.mark.parametrize(
    "text",
    [
        f"--api-key {SECRET} --port 8000",
        f"--api-key={SECRET}",
        f"--api-key '{SECRET}' \\",
        f"Namespace(host=None, api_key='{SECRET}', port=8000)",
        f"Namespace(api_key=['{SECRET}', 'x'], port=8000)",
        f"non-default args: {{'api_key': ['{SECRET}'], 'model': 'm'}}",
        f"{{'hf_token': '{SECRET}'}}",
        f"HF_TOKEN={SECRET} vllm serve",
        f"  HUGGING_FACE_HUB_TOKEN: {SECRET}",
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f"OPENAI_API_KEY={SECRET}",
        f'"MY_PASSWORD": "{SECRET}"',
        f"password={SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"authorization: {SECRET}",
        f"'Authorization': 'Basic {SECRET}'",
        f"https://user:{SECRET}@proxy.example:3128/",
        f"https://{SECRET}@github.example/x.git",
        f"GET /x?token={SECRET}&a=1",
        f"https://bucket.example/i.png?X-Amz-Signature={SECRET}&X-Amz-Date=1",
        f"hf_{SECRET}",
        f"sk-{SECRET}",
        f"ghp_{SECRET}",
        f"client_secret: {SECRET}",
    ],
)
def test_secret_is_masked(text: str) -> None:
    assert SECRET not in redact(text)
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=100, pad_token='<|endoftext|>', eos_token_id=151645",
        "out of which {'image': 49152, 'video': 49152} are reserved",
        "non-default args: {'model': 'Qwen/Qwen2.5-VL-7B-Instruct', 'api_key': None}",
        "Avg generation throughput: 12.0 tokens/s",
        "KeyError: 'qwen2_5_vl'",
        "https://docs.vllm.ai/en/latest/configuration/conserving_memory.html",
        "--api-key --port 8000",
        "api_key=***",
        "env HF_TOKEN=$HF_TOKEN",
        "token-wise quantization of key and value",
        "tokenizer='/models/qwen', revision=None",
        "Invalid token: 'abc'",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_time_is_linear_on_hostile_lines() -> None:
    for unit in ("api_key=", "Bearer ", "://a:", "'", "token=[", "A_KEY='\\"):
        redact(unit * (16_384 // len(unit)))
