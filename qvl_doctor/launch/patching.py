"""A changed command written back to where it came from: the user's own text, or a patch for `kubectl`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qvl_doctor.launch.command import Changes, Command, Edit, Flag, Source, Splice, splice_text
from qvl_doctor.launch.masking import masked, masked_text, masking_edits, unquoted
from qvl_doctor.launch.pods import patches
from qvl_doctor.launch.pods.pod_commands import ManifestSource
from qvl_doctor.launch.yamltext import yaml_edits
from qvl_doctor.launch.yamltext.yaml_tree import Node, documents

#: The kinds that `kubectl patch` can merge by the names of containers; for others a patch would replace the list.
_MERGED = frozenset(
    (
        "Pod",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "ReplicationController",
        "Job",
        "CronJob",
        "PodTemplate",
    )
)


def changes_of(command: Command) -> Changes:
    """How a command differs from what was read where it came from."""
    source = command.source
    if source is None:
        return Changes()
    env: dict[str, str | None] = {name: value for name, value in command.env.items() if source.env.get(name) != value}
    env |= {name: None for name in source.env if name not in command.env}
    image = command.image or ""
    options = patches.docker_options(command) if source.shape == "docker" else ()
    return Changes(tuple(_splices(command)), env, image if image != source.image else "", options)


def edits_of(*commands: Command) -> list[Edit]:
    """The edits of the text that commands came from; none if there is no text."""
    edits = [edit for command in commands if command.source for edit in command.source.edits(changes_of(command))]
    return [*edits, *patches.manifest_edits(commands)]


def patched(*commands: Command, reveal: bool = False) -> str:
    """The whole text that commands came from, changed where they were changed and nowhere else; "" if there is none.

    Shell text, a manifest or a compose file: comments, order and quotes stay. What a shell would misunderstand (a
    comment after a backslash, a lost backslash) is corrected as well. Secrets are masked in the whole text, unless
    `reveal`.
    """
    source = commands[0].source if commands else None
    if source is None or not source.text:
        return ""
    if reveal:
        return splice_text(source.text, edits_of(*commands))
    return _shown(source, splice_text(source.text, edits_of(*map(masked, commands))))


def unpatched(command: Command) -> str:
    """The whole text that a command came from, secrets masked: what `patched` is to be compared with."""
    source = command.source
    return _shown(source, source.text) if source else ""


def _shown(source: Source, text: str) -> str:
    """A text with its secrets masked, including those that a change copied, such as the headers of a probe."""
    if isinstance(source, ManifestSource):
        return masked_text(splice_text(text, list(masking_edits(documents(text)))))
    return unquoted(masked_text(text))


def patch(command: Command, *, reveal: bool = False) -> str:
    """A strategic-merge patch for a manifest's container (`kubectl patch --patch-file`, kustomize); "" if impossible.

    It holds what was changed of command, args, env and image. Lists of words are whole: Kubernetes replaces them.
    """
    source = command.source
    if not isinstance(source, ManifestSource) or source.box.spot.shape != "kubernetes":
        return ""
    spot = source.box.spot
    kind = spot.root.text("kind") or ""
    if (kind and kind not in _MERGED) or not spot.path or not spot.name:
        return ""
    lines = list(_head(spot.root)) if kind else []
    indent = ""
    for key in spot.path:
        lines.append(f"{indent}{key}:")
        indent += "  "
    lines.append(f"{indent}- name: {yaml_edits.scalar(spot.name, _PLAIN)}")
    lines += [f"{indent}  {line}" for line in _container_lines(command, source, reveal=reveal)]
    text = "\n".join(lines) + "\n"
    return text if reveal else masked_text(text)


_PLAIN = Node("scalar", 0, 0, 0)


def _head(root: Node) -> Iterator[str]:
    for key in ("apiVersion", "kind"):
        yield f"{key}: {yaml_edits.scalar(root.text(key) or '', _PLAIN)}"
    metadata = root.get("metadata")
    yield "metadata:"
    for key in ("name", "namespace"):
        value = metadata.text(key) if metadata else None
        if value:
            yield f"  {key}: {yaml_edits.scalar(value, _PLAIN)}"


def _container_lines(command: Command, source: ManifestSource, *, reveal: bool) -> Iterator[str]:
    """What was changed of the container. A secret that was only masked is not a change."""
    shown, changes = command if reveal else masked(command), changes_of(command)
    before, after = source.box.spot.container, source.box.again(splice_text(source.text, edits_of(command)))
    written = source.box.again(splice_text(source.text, edits_of(shown)))
    if changes.image:
        yield f"image: {yaml_edits.scalar(changes.image)}"
    for key in ("command", "args"):
        if _texts(after.get(key)) != _texts(before.get(key)):
            yield f"{key}:"
            for text in _texts(written.get(key)):
                yield from _item(text)
    if changes.env:
        yield "env:"
    for name, value in changes.env.items():
        yield f"- name: {name}"
        yield "  $patch: delete" if value is None else f"  value: {yaml_edits.scalar(shown.env[name])}"


def _texts(node: Node | None) -> list[str]:
    return [item.resolved.value for item in node.resolved.items] if node else []


def _item(text: str) -> Iterator[str]:
    """An entry of a list of texts; a script keeps its lines."""
    body = text.removesuffix("\n")
    lines = body.split("\n")
    if len(lines) == 1 or not lines[-1] or text[0] in " \n" or not all(map(str.isprintable, lines)):
        yield f"- {yaml_edits.scalar(text)}"
        return
    yield "- |" if text.endswith("\n") else "- |-"
    for line in lines:
        yield f"  {line}" if line else ""


def _splices(command: Command) -> Iterator[Splice]:
    source = command.source
    if source is None:
        return
    reading = source.reading
    if reading.model_at >= 0 and command.model is None:
        yield Splice(reading.model_at, reading.model_at + 1, ())
    elif reading.model_at >= 0 and command.positional not in {None, source.words[reading.model_at]}:
        yield Splice(reading.model_at, reading.model_at + 1, ((str(command.positional),),))
    elif reading.model_at < 0 and command.positional is not None:  # it was given with --model
        first = min((flag.at for flag in reading.flags), default=reading.end)
        yield Splice(first, first, ((command.positional,),))
    kept = {flag.at: flag for flag in command.flags if flag.at >= 0}
    for flag, count in zip(reading.flags, reading.counts, strict=True):
        yield from _splice(kept.get(flag.at), source.words[flag.at : flag.at + count], flag)
    added = tuple(flag.words for flag in command.flags if flag.at < 0)
    if added:
        yield Splice(reading.end, reading.end, added)


def _splice(now: Flag | None, before: Sequence[str], flag: Flag) -> Iterator[Splice]:
    words = tuple(before)
    if now is None:
        yield Splice(flag.at, flag.at + len(words), ())
    elif now.words != words:
        yield Splice(flag.at, flag.at + len(words), (now.words,))
