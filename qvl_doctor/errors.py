"""What can be wrong with what was given.

Errors that name their sentence in messages.yaml, so that each language can tell them.
"""

from __future__ import annotations

from typing import Any


class ToldError(Exception):
    """`key` names the sentence, `values` (texts, or texts in all languages) fill its placeholders.

    As text it is the English sentence.
    """

    def __init__(self, key: str, **values: Any) -> None:
        super().__init__(key)
        self.key, self.values = key, values

    def __str__(self) -> str:
        from qvl_doctor.messages import say

        return say(self.key, "en", **self.values)


class InputError(ToldError):
    """An input that cannot be read, or that has nothing to do with vLLM."""


class UsageError(ToldError):
    """Options that cannot be followed."""
