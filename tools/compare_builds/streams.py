"""Streams of server-sent events, without how their text was cut into events: that depends on when
the writer looked."""
import json
import re

# What goes on from event to event is joined.
_TEXTS = ("delta.content", "delta.reasoning_content", "delta.reasoning", "text",
          "function.arguments")
_ARRAYS = ("logprobs.", "token_ids")
_LATEST = ("usage.", "timings.")  # counts so far: the last ones count
_INDEX = re.compile(r"(?<=\.)\d+(?=\.|$)")


def settled(body, settle):
    """The stream as lines `choice path: value`: what was said of each choice, joined; other values
    one after the other where they change; comments and [DONE] as they are. Raises ValueError where
    an event is no JSON."""
    plain, choices, shapes = [], {}, set()
    for event in body.split("\n\n"):
        if event.startswith("data: {") and "\n" not in event:
            leaves = settle.json_leaves(event[len("data: "):])
            shapes.add(_shape(leaves))
            _add(choices.setdefault(_choice_of(leaves), {}), leaves)
        else:
            plain.append(event)
    lines = [f"between events: {json.dumps(plain)}"]
    for choice, told in sorted(choices.items()):
        if any(path.startswith("logprobs.") for path in told):
            told.pop("logprobs", None)  # null in events without a token
        lines += [f"{choice} {path}: {_told(path, told[path])}" for path in sorted(told)]
    lines += [f"members: {' '.join(shape)}" for shape in sorted(_largest(shapes))]
    return "\n".join(lines)


def _choice_of(leaves):
    """Choices run one after the other, but events of two can come in either order."""
    return next((f"choice {value}" for path, value in leaves if path == "choices.0.index"),
                "no choice")


def _add(told, leaves):
    call = next((value for path, value in leaves if path.endswith("tool_calls.0.index")), None)
    kinds = []
    for path, value in leaves:
        path = path.removeprefix("choices.0.")
        if call is not None:
            path = path.replace("tool_calls.0.", f"tool_calls.{call}.")
        if path.startswith(_ARRAYS):
            path = _INDEX.sub("*", path)
        if (path, value) == ("token_ids", "[]"):  # an event without a token
            continue
        told.setdefault(path, []).append(value)
        if path.endswith(_TEXTS) and value not in ("null", '""'):
            kinds.append(path)
    if kinds:
        told.setdefault("kinds", []).append("+".join(kinds))


def _told(path, values):
    if path.endswith(_TEXTS):
        return "".join(value[1:-1] for value in values if value != "null")
    if path.startswith(_LATEST):
        return values[-1]
    if path.endswith("*") or ".*." in path:
        return " ".join(value for value in values if value != "[]")
    changes = []
    for value in values:
        if path == "finish_reason" and value == "null":  # of events before the last one
            continue
        if changes[-1:] != [value]:
            changes.append(value)
    return " ".join(changes)


def _shape(leaves):
    """The members of an event in their order, without those of arrays that go on."""
    shape = []
    for path, _ in leaves:
        path = re.sub(r"(?<=\.)(logprobs|token_ids)\..*", r"\1", _INDEX.sub("*", path))
        if path not in shape:
            shape.append(path)
    return tuple(shape)


def _largest(shapes):
    """Those that are no part of another: an event may have come alone or with the next one."""
    def within(small, large):
        rest = iter(large)
        return all(any(part == other for other in rest) for part in small)

    return [shape for shape in shapes
            if not any(shape != other and within(shape, other) for other in shapes)]
