"""Secrets are gone; what only looks like one stays, because a diagnosis needs it."""

import json

import pytest

from qvl_doctor.redaction.line import _compiled, masker, redact, unmasked

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


@pytest.mark.parametrize(
    "prefix",
    [
        *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "nvapi-"),
        *("xoxa-", "xoxb-", "xoxp-", "xoxr-", "xoxs-"),
    ],
)
def test_a_token_is_known_by_its_prefix_and_ten_more(prefix: str) -> None:
    assert redact(f"said {prefix}{'a1' * 5}, then") == "said ***, then"
    assert redact(f"said {prefix}{'a1' * 4}b") == f"said {prefix}{'a1' * 4}b"
    assert redact(f"x{prefix}{'a1' * 5}") == f"x{prefix}{'a1' * 5}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"hf_{'a' * 16} x", "hf_*** x"),
        (f"hf_{'a' * 15} x", f"hf_{'a' * 15} x"),
        ("sk-a.b-c_ x", "sk-*** x"),
        ("sk-a.b-c x", "sk-a.b-c x"),
        (f"AKIA{'A1' * 8} x", "*** x"),
        (f"ASIA{'A1' * 8} x", "*** x"),
        (f"ASIA{'A1' * 7}B x", f"ASIA{'A1' * 7}B x"),
        (f"eyJ{'a' * 10}.{'b' * 6}.sig x", "*** x"),
        (f"eyJ{'a' * 10}.{'b' * 6} x", "*** x"),
        (f"eyJ{'a' * 9}.{'b' * 6} x", f"eyJ{'a' * 9}.{'b' * 6} x"),
        (f"eyJ{'a' * 10}.{'b' * 5} x", f"eyJ{'a' * 10}.{'b' * 5} x"),
        ("Bearer abcdefgh x", "Bearer *** x"),
        ("BASIC  abcdefgh x", "BASIC  *** x"),
        ("bearer abcdefg x", "bearer abcdefg x"),
        ("Authorization: abcdef x", "Authorization: *** x"),
        ("'authorization' = 'abcdef' x", "'authorization' = '***' x"),
        ("authorization: abcde x", "authorization: abcde x"),
        ("http://user:pw@host/", "http://***@host/"),
        ("http://:pw@host/", "http://***@host/"),
        ("http://abcdefgh@host/", "http://***@host/"),
        ("http://abcdefg@host/", "http://abcdefg@host/"),
        ("http://host:8000/a", "http://host:8000/a"),
        ("/x?download-token=abc&b=1", "/x?download-token=***&b=1"),
        ("/x?a=1&myapi_key=a,b&b=1", "/x?a=1&myapi_key=***&b=1"),
        ("/x?myapikey=abc", "/x?myapikey=***"),
        ("/x?key=abc&b=1", "/x?key=***&b=1"),
        ("/x?sig=abc&b=1", "/x?sig=***&b=1"),
        ("/x?X-Amz-Signature=abc&b=1", "/x?X-Amz-Signature=***&b=1"),
        ("/x?X-Amz-Credential=abc&b=1", "/x?X-Amz-Credential=***&b=1"),
        ("/x?monkey=abc&b=1", "/x?monkey=abc&b=1"),
        *((f"--{flag} abc x", f"--{flag} *** x") for flag in ("api-key", "api_key", "hf-token", "hf_token")),
        ("--ssl-keyfile-password abc x", "--ssl-keyfile-password *** x"),
        ("--ssl-keyfile-password=abc x", "--ssl-keyfile-password=*** x"),
        ("--ssl-keyfile abc x", "--ssl-keyfile abc x"),
        ("helm --token abcdefg1 x", "helm --token *** x"),
        ("helm --token=abcdefg1 x", "helm --token=*** x"),
        ("helm --password abcdefg1 x", "helm --password *** x"),
        ("docker login -u me -p abcdefg1 x", "docker login -u me -p *** x"),
        ("helm --token abcdefgh x", "helm --token abcdefgh x"),  # no digit: a word
        ("helm --token abcdef1 x", "helm --token abcdef1 x"),
        *((f"MY{name}=abc x", f"MY{name}=*** x") for name in ("TOKEN", "SECRET", "PASSWD", "PASSWORD", "CREDENTIAL")),
        *((f"MYTOKEN{dash}abc x", f"MYTOKEN{dash}*** x") for dash in (": ", " = ", "':", '":')),
        ("MY_TOKEN\t=abc x", "MY_TOKEN\t=*** x"),
        ("MY_KEY=abc x", "MY_KEY=*** x"),
        ("MY_CREDENTIALS=abc x", "MY_CREDENTIALS=*** x"),
        ("MONKEY=abc my_key=abc", "MONKEY=abc my_key=abc"),
        ("password=abc, passwd: abc; n", "password=***, passwd: ***; n"),
        ("Passphrase = abc)", "Passphrase = ***)"),
        (
            "client_secret=abc client-secret=abc clientsecret=abc",
            "client_secret=*** client-secret=*** clientsecret=***",
        ),
        ("password=['a', 'b'] x", "password=*** x"),
        ("password='a b\\' c' x", "password=*** x"),
        ('password="a b" x', "password=*** x"),
    ],
)
def test_what_is_masked_and_what_stays_around_it(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize("dash", ["_", "-", ""])
@pytest.mark.parametrize("what", ["key", "token"])
@pytest.mark.parametrize(
    "kind", ["api", "access", "auth", "hf", "hub", "bearer", "refresh", "session", "private", "secret"]
)
def test_the_value_of_a_secret_name_is_masked(kind: str, what: str, dash: str) -> None:
    name = f"{kind}{dash}{what}"
    assert redact(f"a='b', '{name}': 'abc', n=1") == f"a='b', '{name}': ***, n=1"
    assert redact(f"{name}=abc x") == f"{name}=*** x"
    assert redact(f"{kind}{dash}access{dash}{what}=abc x") == f"{kind}{dash}access{dash}{what}=*** x"


@pytest.mark.parametrize(
    "value", ["None", "null", "True", "False", "true", "false", "***", "''", '""', "[]", "$NAME", "${NAME}"]
)
def test_a_value_that_says_nothing_stays(value: str) -> None:
    for text in (f"api_key={value}", f"MY_TOKEN={value}", f"--api-key {value}"):
        assert redact(text) == text
    if value.isalpha():
        assert redact(f"api_key={value}x") == "api_key=***"


def test_a_block_is_searched_for_what_it_can_hold() -> None:
    plain = "INFO ready\nINFO done"
    assert masker(plain) is unmasked
    assert unmasked("api_key=abc") == "api_key=abc"
    block = "INFO ready\nINFO api_key=abc\nINFO hf_abcdefghijklmnop"
    assert [masker(block)(line) for line in block.split("\n")] == ["INFO ready", "INFO api_key=***", "INFO hf_***"]


def test_an_escape_can_hide_any_name_so_every_mask_is_tried() -> None:
    block = r'{"message": "\u0061pi_key=abc, \U0061"}'
    assert masker(block)(json.loads(block.replace(r", \U0061", ""))["message"]) == "api_key=***"
    assert masker(r"\U0061") is redact


def test_a_pattern_is_compiled_when_a_line_needs_it() -> None:
    _compiled.cache_clear()
    redact("INFO 3 tokens/s, key and value")
    assert _compiled.cache_info().misses == 0
    redact("password=x1")
    assert _compiled.cache_info().misses == 1


def test_time_is_linear_on_hostile_lines() -> None:
    for unit in ("api_key=", "Bearer ", "://a:", "'", "token=[", "A_KEY='\\"):
        redact(unit * (16_384 // len(unit)))
