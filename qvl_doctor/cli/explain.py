"""`qvl-doctor explain RULE`: a rule's page in the terminal."""

from __future__ import annotations

import os
import sys

from qvl_doctor.cli.logs import OK, USAGE, UsageError, near, rule_book
from qvl_doctor.cli.options import LogsOptions
from qvl_doctor.messages import language, say


def run(name: str, lang: str, folders: tuple[str, ...], *, no_color: bool = False) -> int:
    """Prints the page; an unknown name gets the closest ones."""
    lang = language(lang, os.environ)
    try:
        rules = rule_book(LogsOptions(rules=folders), packed=False)
    except UsageError as error:
        sys.stderr.write(f"qvl-doctor: {error}\n")
        return USAGE
    rule = next((rule for rule in rules if rule.id == name), None)
    if rule is None:
        hint = near(name, (rule.id for rule in rules), lang)
        sys.stderr.write(f"qvl-doctor: {say('error.no_rule', lang, rule=name)}{hint}\n")
        return USAGE
    from rich.console import Console

    from qvl_doctor.report.rule_page import render
    from qvl_doctor.rulebook.pages import shipped_topics, with_pages

    console = Console(no_color=no_color or None, highlight=False, markup=False, emoji=False)
    (whole,) = with_pages([rule])
    render(whole, lang, console, rules, shipped_topics())
    return OK
