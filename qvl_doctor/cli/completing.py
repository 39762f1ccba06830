"""What a shell offers for the words of an option, where they are ours: rules, topics, GPUs, looks."""

from __future__ import annotations


def rule_ids() -> list[str]:
    """The ids of the shipped rules."""
    from qvl_doctor import rulebook

    return [rule.id for rule in rulebook.shipped(packed=True)]


def topics() -> list[tuple[str, str]]:
    """The names of the topics, each with its title."""
    from qvl_doctor.rulebook.pages import shipped_topics

    return [(topic.name, topic.title["en"]) for topic in shipped_topics()]


def gpu_names() -> list[str]:
    """The GPUs whose memory is known, without the maker, as people type them."""
    from qvl_doctor.memory import gpus

    return [card.name.removeprefix("NVIDIA ").removeprefix("GeForce ") for card in gpus.known()]


def looks(incomplete: str) -> list[str]:
    """Names after those that are written already: `gpu,` goes on with `gpu,host`."""
    from qvl_doctor.machine import PROBES

    before, comma, last = incomplete.rpartition(",")
    return [
        f"{before}{comma}{name}" for name in PROBES if name.startswith(last.strip()) and name not in before.split(",")
    ]
