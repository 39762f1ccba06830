"""`qvl-doctor explain RULE`: a rule's page in the terminal."""

from __future__ import annotations

from qvl_doctor.cli import session
from qvl_doctor.cli.exit_codes import OK
from qvl_doctor.cli.inputs import near, rule_book
from qvl_doctor.errors import UsageError


def run(name: str, *, lang: str = "", folders: tuple[str, ...] = (), no_color: bool = False) -> int:
    """Prints the page; an unknown name gets the closest ones."""

    def explained(lang: str) -> int:
        rules = rule_book(folders, packed=False)
        rule = next((rule for rule in rules if rule.id == name), None)
        if rule is None:
            raise UsageError("error.no_rule", rule=name, near=near(name, (rule.id for rule in rules)))
        from rich.console import Console

        from qvl_doctor.report.rule_page import render
        from qvl_doctor.rulebook.pages import shipped_topics, with_pages

        console = Console(no_color=no_color or None, highlight=False, markup=False, emoji=False)
        (whole,) = with_pages([rule])
        render(whole, lang, console, rules, shipped_topics())
        return OK

    return session.run(explained, lang)
