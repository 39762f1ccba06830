"""The vLLM command as a value.

`reading.read` takes it from wherever people have it, `editing.edit` makes a rule's change, `checking.check` says what
is wrong with it for a release, and `writing` and `patching` write it: as a line, a `docker run`, a difference, a patch,
or the user's own text with nothing else changed. Import the parts one by one: reading a log needs only `spelling`.
"""
