"""What a shell offers for the words of an option, where they are ours: rules and topics."""

from __future__ import annotations


def rule_ids() -> list[str]:
    """The ids of the shipped rules."""
    from qvl_doctor import rulebook

    return [rule.id for rule in rulebook.shipped(packed=True)]


def topics() -> list[tuple[str, str]]:
    """The names of the topics, each with its title."""
    from qvl_doctor.rulebook.pages import shipped_topics

    return [(topic.name, topic.title["en"]) for topic in shipped_topics()]
