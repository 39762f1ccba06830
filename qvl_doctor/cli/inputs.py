"""What the options of several commands name: rules, package lists, commands, environments.

Read once, before any input.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from qvl_doctor.errors import UsageError
from qvl_doctor.logs.source import read_text
from qvl_doctor.messages import both
from qvl_doctor.model import LANGUAGES, Facts, Rule, Text
from qvl_doctor.redaction.line import redact

if TYPE_CHECKING:
    from qvl_doctor.launch.command import Command

_MOST_PACKAGES = 4 << 20


def rule_book(
    folders: Sequence[str] = (), *, override: bool = False, ignore: Sequence[str] = (), packed: bool = True
) -> tuple[Rule, ...]:
    """The shipped rules and those of --rules.

    Raises UsageError for a rule file that does not load, and for ids that none has.

    With `packed` rules may lack their texts; see `rulebook.shipped`.
    """
    from qvl_doctor import rulebook

    try:
        rules = rulebook.shipped(packed=packed)
        for folder in folders:
            rules = rulebook.merge(rules, rulebook.load(folder, beside=rules), override=override)
    except (rulebook.RuleError, OSError) as error:
        raise UsageError("error.said", said=str(error)) from None
    if ignore:
        _check_ignored(ignore, rules)
    return rules


def _check_ignored(ignore: Iterable[str], rules: Iterable[Rule]) -> None:
    """Raises UsageError for a name that is not a rule's: a typing mistake would let through what was to be ignored."""
    from qvl_doctor.rulebook.ids import known_ids

    known = known_ids(rules)
    for name in ignore:
        if name not in known:
            raise UsageError("error.ignored_rule", rule=name, near=near(name, known))


def near(name: str, known: Iterable[str]) -> Text:
    """What may have been meant, to be put behind a sentence on a name that is not known; empty if nothing is near."""
    from difflib import get_close_matches

    close = get_close_matches(name, sorted(known), 3, 0.6)
    return both("error.did_you_mean", names=", ".join(close)) if close else dict.fromkeys(LANGUAGES, "")


def package_facts(path: str) -> Facts:
    """The packages of a `pip list` or `pip freeze` file. Raises InputError."""
    if not path:
        return {}
    from qvl_doctor.logs.package_lists import read_pip

    return dict(read_pip(redact(read_text(path, _MOST_PACKAGES))))


def command_text(words: Sequence[str], path: str) -> str | Sequence[str] | None:
    """The command after `--` as words, or the text of --command FILE; None if neither is given.

    Raises UsageError or InputError.
    """
    if words and path:
        raise UsageError("error_plan.two_commands")
    if not path:
        return words or None
    from qvl_doctor.workflows.asked import LONGEST

    return read_text(path, LONGEST)


def command_of(words: Sequence[str], path: str, vllm: str = "") -> Command | None:
    """The same as a value: the first command of a file. Raises UsageError or InputError."""
    text = command_text(words, path)
    if text is None:
        return None
    from qvl_doctor.workflows.asked import commands_of

    return commands_of(text, vllm, path or "--")[0]
