"""The vLLM command as a value.

`reading.read` takes it from wherever people have it, `editing.edit` makes a rule's change, `checking.check` says what
is wrong with it for a release, `writing` and `patching` give it back: as a line, a `docker run`, a difference, a patch,
or the user's own text with nothing else changed. The parts are imported one by one: reading a log needs only
`spelling`.
"""
