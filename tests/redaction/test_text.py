"""Secrets of a text that stays a text: over the ends of lines, in key blocks, in JSON, and behind escapes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qvl_doctor.redaction.text import LineRedactor, redact_line, redact_text, redact_value

SECRET = "Zk3v9QxT71pLmN8s2RwB"
BEGIN, END = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        f"vllm serve m \\\n  --api-key \\\n  {SECRET} \\\n  --port 8000",
        f"args:\n- --api-key\n- {SECRET}\n- --port",
        f"env:\n- name: HF_TOKEN\n  value: {SECRET}\n",
        f'"name": "HF_TOKEN",\n"value": "{SECRET}"',
        f'"HF_TOKEN":\n  "{SECRET}",',
        f"HF_TOKEN=\n{SECRET}",
        f'{{"log":"api_key: \\"{SECRET}\\"\\n","stream":"stderr"}}',
        f'{{"log":"{{\\"password\\": \\"{SECRET}\\"}}"}}',
        f'{{"\\u0061pi_key": "{SECRET}"}}',
        f'2025-01-01T00:00:00Z stderr F {{"a": [{{"hf_token": "{SECRET}"}}]}}',
        f'said \\"api_key\\": \\"{SECRET}\\" there',
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n{SECRET}\n-----END RSA PRIVATE KEY-----",
        f"Authorization: Bearer {SECRET}",
    ],
)
def test_secrets_over_line_ends_and_in_escapes(text: str) -> None:
    shown = redact_text(text)
    assert SECRET not in shown
    assert shown.count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "text",
    [
        "eos_token:\nhello",
        "--api-key\n--port 8000",
        "api_key=None\nvalue: 3",
        'non-default args: {"model": "a\\\\b", "n": {"x": 1}}',
        "HF_TOKEN=\n$HF_TOKEN",
        'File "C:\\x\\y.py", line 3',
        '{"log":"INFO ready\\n","stream":"stdout"}',
        "vllm serve m \\\n  --port 8000",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "name",
    [
        *(f"api{dash}key" for dash in ("-", "_", "")),
        *(
            f"{kind}{dash}{what}"
            for kind in ("hf", "hub", "access", "auth", "bearer", "refresh", "session", "private", "secret")
            for what in ("token", "key")
            for dash in ("-", "_", "")
        ),
        "secret_access_key",
        "SecretAccessKey",
        "client_secret",
        "client-secret",
        "passwd",
        "password",
        "passphrase",
        "ssl-keyfile-password",
        *(f"MY_{name}" for name in ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "KEY", "CREDENTIAL", "CREDENTIALS")),
    ],
)
def test_a_name_at_the_end_of_a_line_hides_the_first_word_of_the_next(name: str) -> None:
    assert redact_text(f"{name}:\n  {SECRET} rest") == f"{name}:\n  *** rest"
    assert redact_text(f"- name: {name}\n  value: {SECRET} rest") == f"- name: {name}\n  value: ***"
    assert redact_text(f"--{name} \\\n  {SECRET} \\") == f"--{name} \\\n  *** \\"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("HF_TOKEN=\n\n  s3cret", "HF_TOKEN=\n\n  ***"),  # an empty line in between
        ("HF_TOKEN: |\n  s3cret", "HF_TOKEN: ***\n  ***"),
        ("HF_TOKEN: >-\n  s3cret", "HF_TOKEN: ***\n  ***"),
        ('- "--api-key"\n- "s3cret"', '- "--api-key"\n- "***"'),
        ("name: HF_TOKEN\nvalue: s3cret", "name: HF_TOKEN\nvalue: ***"),
        ("key: HF_TOKEN\ndata: s3cret", "key: HF_TOKEN\ndata: ***"),
        ('"Name": "HF_TOKEN",\n"Value": "s3cret"', '"Name": "HF_TOKEN",\n"Value": ***'),
        ("name: HF_TOKEN\nvalueFrom: {a: b}", "name: HF_TOKEN\nvalueFrom: {a: b}"),
        ("name: HF_TOKEN\nvalue: {a: b}", "name: HF_TOKEN\nvalue: {a: b}"),
        ("name: HF_TOKEN\nother: plain", "name: HF_TOKEN\nother: plain"),
        ("name: MODEL\nvalue: plain", "name: MODEL\nvalue: plain"),
        ("HF_TOKEN=\ns3cret\nplain", "HF_TOKEN=\n***\nplain"),  # one line only
        ("the HF_TOKEN\nplain", "the HF_TOKEN\nplain"),  # nothing there asks for a value
        ("set HF_TOKEN,\nplain", "set HF_TOKEN,\nplain"),
        ("x" * 290 + " HF_TOKEN=\ns3cret", "x" * 290 + " HF_TOKEN=\n***"),
        ("api_key=" + " " * 292 + "\ns3cret", "api_key=" + " " * 292 + "\n***"),
        ("api_key=" + " " * 293 + "\nplain", "api_key=" + " " * 293 + "\nplain"),  # too far from the end
    ],
)
def test_what_follows_a_name(text: str, shown: str) -> None:
    assert redact_text(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{BEGIN}\nabc\ndef\n{END}\nplain", f"{BEGIN}\n***\n***\n{END}\nplain"),
        (f"{BEGIN}abc\n{END}", f"{BEGIN}***\n{END}"),
        (f"{BEGIN}\nabc{END} plain", f"{BEGIN}\n***{END} plain"),
        (f"a {BEGIN}abc{END} b\nplain", f"a {BEGIN}***{END} b\nplain"),
        (f"password=x1 {BEGIN}abc{END} password=x2", f"password=*** {BEGIN}***{END} password=***"),
        (f"{BEGIN}\nabc{END}{BEGIN}\ndef\n{END}\nplain", f"{BEGIN}\n\n***\n{END}\nplain"),
        (
            f"private_key: |\n  {BEGIN}\n  abc\n  {END}\nport: 8000",
            f"private_key: ***\n  {BEGIN}\n***\n  {END}\nport: 8000",
        ),
        ("-----BEGIN CERTIFICATE-----\nplain", "-----BEGIN CERTIFICATE-----\nplain"),
        ("-----BEGIN CERTIFICATE----- password=x1", "-----BEGIN CERTIFICATE----- password=***"),
        (f"plain\n{END}\nplain", f"plain\n{END}\nplain"),
    ],
)
def test_of_a_private_key_only_the_marks_stay(text: str, shown: str) -> None:
    assert redact_text(text) == shown


def test_a_key_without_an_end_is_a_log_again_after_201_lines() -> None:
    shown = redact_text("\n".join([BEGIN, *["abc"] * 203])).split("\n")
    assert shown == [BEGIN, *["***"] * 201, "abc", "abc"]


def test_masks_are_counted_that_were_put_and_no_others() -> None:
    redactor = LineRedactor()
    for line, count in (
        ("password=x1 api_key=x2", 2),
        ("password=*** api_key=x2", 3),
        ("--api-key 'a *** ***'", 3),  # fewer than there were
        (BEGIN, 3),
        ("abc", 4),
        (END, 4),
        ("HF_TOKEN=", 4),
        ("s3cret", 5),
    ):
        redactor.feed(line)
        assert redactor.masked == count, line


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('{"a":1,"b":"plain"}', '{"a":1,"b":"plain"}'),  # as it was written
        ('{"a":1,"\\u0061pi_key":"x1"}', '{"a": 1, "api_key": "***"}'),
        ('INFO {"\\u0061pi_key":"x1"}  ', 'INFO {"api_key": "***"}'),
        ('INFO {"\\u0061pi_key":"x1"} plain', 'INFO {"\\u0061pi_key":"x1"} plain'),  # no JSON at the end
        ("} password=x1 }", "} password=*** }"),
        ('{"a":"é","b":["--api-key","x1"]}', '{"a": "é", "b": ["--api-key", "***"]}'),
        ('said \\"api_key\\": \\"x1\\"', 'said "api_key": ***'),
        ("said \\'api_key\\': \\'x1\\'", "said 'api_key': ***"),
        (f'C:\\m "***" hf_{SECRET}', 'C:\\m "***" hf_***'),
        ("password='***'", "password='***'"),
        ("password='***' api_key=x1", "password=*** api_key=***"),
    ],
)
def test_a_line_with_json_or_escapes(line: str, shown: str) -> None:
    assert redact_line(line) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"api_key": "x1", "model": "m"}, {"api_key": "***", "model": "m"}),
        ({"api_key": 1, "n": None, "on": True}, {"api_key": 1, "n": None, "on": True}),
        ({"api_key": ""}, {"api_key": ""}),
        ({"HF_TOKEN": f"hf_{SECRET}", "log": f"hf_{SECRET}"}, {"HF_TOKEN": "***", "log": "hf_***"}),
        ({"name": "HF_TOKEN", "value": "x1"}, {"name": "HF_TOKEN", "value": "***"}),
        ({"name": "HF_TOKEN", "other": "x1"}, {"name": "HF_TOKEN", "other": "x1"}),
        ({"name": "MODEL", "value": "m"}, {"name": "MODEL", "value": "m"}),
        ({"name": 1, "value": "m"}, {"name": 1, "value": "m"}),
        ({"value": "m"}, {"value": "m"}),
        (["--api-key", "x1", "x2"], ["--api-key", "***", "x2"]),
        (["--api-key", "--port", "8000"], ["--api-key", "--port", "8000"]),
        (["--api-key", -1, "x2"], ["--api-key", -1, "x2"]),
        (["api_key", "model"], ["api_key", "model"]),
        ("one\npassword=x1\nthree", "one\npassword=***\nthree"),
    ],
)
def test_a_value_of_json(value: Any, shown: Any) -> None:
    assert redact_value(value) == shown


def nested(value: Any, depth: int, kind: str) -> Any:
    for _ in range(depth):
        value = [value] if kind == "list" else {"a": value}
    return value


@pytest.mark.parametrize("kind", ["list", "map"])
def test_what_is_nested_too_deep_is_masked_as_text(kind: str) -> None:
    inner = {"api_key": "x1"}
    assert redact_value(nested(inner, 7, kind)) == nested({"api_key": "***"}, 7, kind)
    assert redact_value(nested(inner, 8, kind)) == nested({"api_key": "***"}, 8, kind)
    assert redact_value(nested(inner, 9, kind)) == nested('{"api_key": ***}', 9, kind)
    assert redact_value(nested(3, 20, kind)) == nested(3, 20, kind)


@pytest.mark.parametrize("depth", range(900, 1010, 5))
def test_json_of_any_depth_is_masked_or_left(depth: int) -> None:
    line = '{"a":' + "[" * depth + "1" + "]" * depth + "}"
    assert redact_line(line) == line
    assert "x1" not in redact_line('{"api_key":"x1","a":' + "[" * depth + "1" + "]" * depth + "}")


def test_json_in_a_text_of_json() -> None:
    inner = json.dumps({"password": "x1", "n": 1})
    assert json.loads(redact_line(json.dumps({"log": inner}))) == {"log": '{"password": "***", "n": 1}'}
