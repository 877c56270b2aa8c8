"""Where the values of a JSON text are, without a change of one byte of it."""
import json
import re

_SPACE = re.compile(r"[ \t\r\n]*")
_SCALAR = re.compile(r"-?[0-9][0-9.eE+-]*|true|false|null")


def leaves(text):
    """(path, begin, end) of each scalar and each empty container, in order; members of a path are
    joined by dots, elements of arrays count from 0. Raises ValueError where the text is no JSON."""
    found = []
    at = _value(text, _skip(text, 0), "", found)
    if _skip(text, at) != len(text):
        raise ValueError(f"more than one value, at {at}")
    return found


def _skip(text, at):
    return _SPACE.match(text, at).end()


def _value(text, at, path, found):
    """Behind the value that begins at `at`."""
    first = text[at:at + 1]
    if first == "{" or first == "[":
        return _container(text, at, path, found)
    if first == '"':
        end = json.decoder.scanstring(text, at + 1)[1]
    else:
        scalar = _SCALAR.match(text, at)
        if scalar is None:
            raise ValueError(f"no value at {at}")
        end = scalar.end()
    found.append((path, at, end))
    return end


def _container(text, begin, path, found):
    is_object = text[begin] == "{"
    close = "}" if is_object else "]"
    at = _skip(text, begin + 1)
    if text[at:at + 1] == close:
        found.append((path, begin, at + 1))
        return at + 1
    index = 0
    while True:
        name = str(index)
        if is_object:
            if text[at:at + 1] != '"':
                raise ValueError(f"no name at {at}")
            name, at = json.decoder.scanstring(text, at + 1)
            at = _skip(text, at)
            if text[at:at + 1] != ":":
                raise ValueError(f"no colon at {at}")
            at = _skip(text, at + 1)
        at = _skip(text, _value(text, at, f"{path}.{name}" if path else name, found))
        index += 1
        end = text[at:at + 1]
        at = _skip(text, at + 1)
        if end == close:
            return at
        if end != ",":
            raise ValueError(f"neither a comma nor {close} at {at}")
