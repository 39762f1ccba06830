"""Secrets are masked once, on every line that comes in, so that no renderer can forget it.

What is masked: API keys and tokens of known shapes, bearer and basic headers, passwords in URLs, and the values of
names that look like a secret (`HF_TOKEN=…`, `'api_key': '…'`, `--api-key …`). `pad_token`, `max_tokens` and their like
are not secrets.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

MASK = "***"

_VALUE = r"""(?:\[[^\]\n]*(?:\]|$)|"(?:[^"\\]|\\.)*(?:"|$)|'(?:[^'\\]|\\.)*(?:'|$)|[^\s,;&'"\])}]+)"""
_HARMLESS = r"""(?!None\b|null\b|True\b|False\b|true\b|false\b|\*{3}|['"]{2}(?!['"])|\[\]|\$\{?\w)"""

#: What is before "token" or "key" where they are secrets: "tokens/s" alone is on most lines of a serving log.
_KINDS = ("api", "access", "auth", "hf", "hub", "bearer", "refresh", "session", "private", "secret")


class _Mask(NamedTuple):
    """A line must hold one of the triggers, in lower case, before the pattern is looked for.

    And one of the names, where there are any.

    Most logs need few of the patterns, so each is compiled when it is first looked for.
    """

    triggers: tuple[str, ...]
    pattern: str
    put: str
    names: tuple[str, ...] = ()


_MASKS = tuple(
    _Mask(*mask)
    for mask in (
        (("hf_",), r"\bhf_[A-Za-z0-9]{16,}", f"hf_{MASK}"),
        (("sk-",), r"\bsk-[\w.-]{6,}", f"sk-{MASK}"),
        (("akia", "asia"), r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", MASK),
        (
            ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "nvapi-", "xox"),
            r"\b(?:gh[pousr]_|github_pat_|glpat-|nvapi-|xox[abprs]-)[\w-]{10,}",
            MASK,
        ),
        (("eyj",), r"\beyJ[\w-]{10,}\.[\w-]{6,}(?:\.[\w-]*)?", MASK),
        (("bearer", "basic"), r"(?i)\b(bearer|basic)(\s+)(?!\*{3})[\w.~+/=-]{8,}", rf"\1\2{MASK}"),
        (
            ("authorization",),
            r"(?i)(authorization['\"]?\s*[:=]\s*['\"]?)(?!bearer|\*{3})[^\s'\",]{6,}",
            rf"\1{MASK}",
        ),
        (("://",), r"(://)[^\s/:@'\"]*:[^\s/@'\"]+@|(://)[^\s/:@'\"]{8,}@", rf"\1\2{MASK}@"),
        (
            ("token=", "key=", "sig=", "signature=", "credential="),
            r"(?i)([?&](?:[\w.-]*(?:token|api_?key|signature|credential)|key|sig)=)[^\s&'\"]+",
            rf"\1{MASK}",
        ),
        (
            ("--api-key", "--hf-token", "--api_key", "--hf_token", "--ssl-keyfile-password"),
            rf"(?i)(--(?:api[-_]key|hf[-_]token|ssl-keyfile-password)(?:\s*=\s*|\s+)){_HARMLESS}(?!-){_VALUE}",
            rf"\1{MASK}",
        ),
        (  # of other programs in a script; the digit tells a token from the next word of a sentence
            ("--token", "--password", " login"),
            r"((?:--(?:token|password)|\blogin\b[^\n;|&]{0,200}?\s-p)(?:=|\s+)['\"]?)(?=[\w.-]{0,200}\d)(?!-)[\w.-]{8,}",
            rf"\1{MASK}",
        ),
        (
            ("token", "key", "passw", "passphrase", "secret"),
            (
                rf"(?i)((?:{'|'.join(_KINDS)})[_-]?(?:token|key)"
                rf"|client[_-]?secret|passw(?:or)?d|passphrase)(['\"]?\s*[:=]\s*){_HARMLESS}{_VALUE}"
            ),
            rf"\1\2{MASK}",
            (
                "passw",
                "passphrase",
                "secret",
                *(f"{kind}{dash}{what}" for kind in _KINDS for dash in ("_", "-", "") for what in ("key", "token")),
            ),
        ),
        (
            ("_token", "token=", "token:", "token ", "token'", 'token"', "secret", "_key", "credential"),
            rf"\b([A-Z][A-Z0-9_]*(?:TOKEN|SECRET|_KEY|CREDENTIALS?))(['\"]?\s*[:=]\s*){_HARMLESS}{_VALUE}",
            rf"\1\2{MASK}",
        ),
    )
)


_compiled = lru_cache(maxsize=len(_MASKS))(re.compile)


def redact(text: str, masks: tuple[_Mask, ...] = _MASKS) -> str:
    """The line with its secrets masked. Linear in the length of the line."""
    lower = text.lower()
    for mask in masks:
        if _holds(lower, mask.triggers) and (not mask.names or _holds(lower, mask.names)):
            text = _compiled(mask.pattern).sub(mask.put, text)
    return text


def _holds(lower: str, words: tuple[str, ...]) -> bool:
    for word in words:  # noqa: SIM110 — a generator would cost more than the search
        if word in lower:
            return True
    return False


def unmasked(text: str) -> str:
    """The line as it is, for --no-redact."""
    return text


def masker(block: str) -> Callable[[str], str]:
    """`redact` for the lines of a block of text: only with the masks that anything in it can need."""
    lower = block.lower()
    if "\\u00" in lower:
        return redact  # a JSON escape may be inside a name
    needed = tuple(mask for mask in _MASKS if _holds(lower, mask.triggers))
    return partial(redact, masks=needed) if needed else unmasked
