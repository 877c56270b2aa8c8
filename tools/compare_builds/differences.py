"""What differs between the results of two builds: named as WHAT: FIELD, so that it can be
permitted, with the first lines of a unified diff."""
import difflib
import os.path

import json_leaves
import varying

MOST_LINES = 12
MOST_LETTERS = 240  # of a line of a diff


def compared(old, new):
    """(name, diff) of each difference. old, new: (what, {field: text}), in any order."""
    old, new = dict(old), dict(new)
    for what in [*old, *(what for what in new if what not in old)]:
        if what not in old or what not in new:
            yield f"{what}: only in one", "- " * (what in old) + "+ " * (what in new) + "the result"
            continue
        for field in [*old[what], *(field for field in new[what] if field not in old[what])]:
            a, b = (side[what].get(field) for side in (old, new))
            if not varying.same(a, b):
                yield from _field(what, field, a, b)


def _field(what, field, old, new):
    if old is None or new is None:
        yield f"{what}: {field}", _diff(old or "", new or "")
        return
    found = False
    if {"body", "headers"} & set(field.split()):
        parts = [_parts(text) for text in (old, new)]
        for name in [*parts[0], *(name for name in parts[1] if name not in parts[0])]:
            a, b = (part.get(name, "absent") for part in parts)
            if not varying.same(a, b):
                found = True
                yield f"{what}: {field}/{name}", _diff(a, b)
    if not found:
        yield f"{what}: {field}", _diff(old, new)


def _parts(text):
    """{name: value} of JSON, header fields, metrics and settled streams; {} of other texts."""
    try:
        return {path: text[begin:end] for path, begin, end in json_leaves.leaves(text)}
    except ValueError:
        pass
    parts = {}
    for line in text.split("\n"):
        if line.startswith("# "):  # of a metric
            name, value = " ".join(line.split(" ")[1:3]), line
        elif ": " in line:
            name, _, value = line.partition(": ")
        else:
            name, _, value = line.rpartition(" ")
        if name in parts:
            value = f"{parts[name]}\n{value}"
        parts[name] = value
    return parts


def _diff(old, new):
    if "\n" not in old + new:
        old, new = _around_first(old, new)
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), "old", "new", n=1, lineterm="")
    shown = []
    for line in lines:
        if len(shown) == MOST_LINES:
            shown.append("...")
            break
        shown.append(line if len(line) <= MOST_LETTERS else f"{line[:MOST_LETTERS]}...")
    return "\n".join(shown) or f"- {old!r}\n+ {new!r}"


def _around_first(old, new):
    """Long lines from shortly before the first difference on."""
    begin = max(len(os.path.commonprefix([old, new])) - MOST_LETTERS // 4, 0)
    dots = "..." * bool(begin)
    return dots + old[begin:], dots + new[begin:]
