"""For people who write rules: a rule is begun from a log, and proves itself by its own examples."""
