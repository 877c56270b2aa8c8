"""Cases: fields of bodies of other types, out of range, missing, repeated; JSON that is none."""
import odd_values
from case import REFUSED, Case, base, body_case, judged, post
from odd_values import Raw, any_value, dump

FOREIGN = {"boolean": ["\"true\"", "0", "1", "[]", "{}", "\"\"", "[true]"],
           "integer": ["\"1\"", "0.5", "true", "[]", "{}", "[1]", "\"\"", "1e308", "-1e308",
                       "9223372036854775808", "-9223372036854775809", "\"NaN\""],
           "number": ["\"1\"", "true", "[]", "{}", "[1]", "\"\"", "1e308", "-1e308", "1e309"],
           "string": ["1", "0.5", "true", "[]", "{}", "[\"a\"]"],
           "array": ["\"a\"", "1", "true", "{}", "\"[]\""],
           "object": ["\"a\"", "1", "true", "[]", "\"{}\""]}


def wrong_type(random, api):
    """One documented field of a type that it does not have."""
    path = api.path(random)
    properties, _ = api.endpoints[path]
    names = sorted(name for name, schema in properties.items() if "type" in schema)
    name = random.choice(names)
    body = base(path)
    body[name] = Raw(random.choice(FOREIGN[properties[name]["type"][0]]))
    return body_case(api, path, f"{name} of another type", body)


def out_of_range(random, api):
    """One number just outside its documented range, or far out, or at its ends."""
    path = api.path(random)
    properties, _ = api.endpoints[path]
    names = sorted(name for name, schema in properties.items() if "minimum" in schema)
    if not names:
        return any_field(random, api)
    name = random.choice(names)
    least, most = properties[name]["minimum"], properties[name]["maximum"]
    step = 1 if properties[name]["type"][0] == "integer" else 1e-6
    value = random.choice([least - step, most + step, -1e300, 1e300, least, most, least - 1e9,
                           most * 2 + 1])
    whole = properties[name]["type"][0] == "integer" and abs(value) < 1e15
    body = base(path)
    body[name] = Raw(str(int(value)) if whole else repr(value))
    return body_case(api, path, f"{name} at its limits", body)


def any_field(random, api):
    """One documented field with any value."""
    path = api.path(random)
    body = base(path)
    name = random.choice(sorted(api.endpoints[path][0]))
    body[name] = any_value(random)
    return body_case(api, path, f"{name} odd", body)


def many_fields(random, api):
    path = api.path(random)
    body = base(path)
    names = sorted(api.endpoints[path][0])
    for name in random.sample(names, min(len(names), random.randrange(2, 8))):
        body[name] = any_value(random)
    return body_case(api, path, "several fields odd", body)


def missing(random, api):
    path = api.path(random)
    body = base(path)
    if body:
        del body[random.choice(sorted(body))]
    return body_case(api, path, "a field missing", body)


def repeated_key(random, api):
    path = api.path(random)
    body = list(base(path).items())
    name = random.choice(sorted(api.endpoints[path][0]))
    body += [(name, any_value(random)) for _ in range(random.randrange(1, 4))]
    random.shuffle(body)
    return body_case(api, path, f"{name} repeated", tuple(body))


def unknown_field(random, api):
    path = api.path(random)
    body = base(path)
    for _ in range(random.choice([1, 3, 200])):
        letters = random.choice(["abc_", "é\u202e\U0001f600", "\x01\x7f\"\\", "a,\r\n: "])
        name = "".join(random.choice(letters) for _ in range(random.choice([1, 8, 100])))
        body[name] = any_value(random)
    return body_case(api, path, "unknown fields", body)


def any_document(random, api):
    """A body that is some other JSON document, or none."""
    path = api.path(random)
    return body_case(api, path, "another document", any_value(random))


def damaged_text(random, api):
    """A good body with bytes cut, changed, doubled or put in."""
    path = api.path(random)
    body = base(path)
    for name in random.sample(sorted(api.endpoints[path][0]), 2):
        body.setdefault(name, any_value(random))
    text = bytearray(dump(body).encode("utf-8", "surrogatepass"))
    for _ in range(random.randrange(1, 5)):
        at = random.randrange(len(text) + 1)
        kind = random.randrange(5)
        if kind == 0:
            del text[at:]
        elif kind == 1 and at < len(text):
            text[at] ^= 1 << random.randrange(8)
        elif kind == 2:
            text[at:at] = bytes(random.randrange(256) for _ in range(random.randrange(1, 4)))
        elif kind == 3:
            text[at:at] = text[max(0, at - random.randrange(1, 30)):at]
        else:
            del text[at:at + random.randrange(1, 10)]
        if not text:
            break
    return _bytes_case(api, path, "damaged JSON", bytes(text))


def bad_utf8(random, api):
    path = api.path(random)
    text = dump(base(path)).encode()
    bad = random.choice([b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82",
                         b"\x80",
                         b"\xf8\x88\x80\x80\x80", b"\xc3", b"\xed\xbf\xbf", b"\xfe\xff\x00{"])
    places = [i for i in range(len(text)) if text[i:i + 1] == b"\""] + [0, len(text)]
    at = random.choice(places)
    text = text[:at] + b"\"" * (at < len(text) and random.random() < 0.5) + bad + text[at:]
    return Case(f"bad UTF-8: POST {path}", [post(path, text)], statuses=REFUSED)


def other_encoding(random, api):
    """UTF-16, UTF-32 and byte order marks."""
    path = api.path(random)
    text = dump(base(path))
    codec = random.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-7",
                           "cp037"])
    data = text.encode(codec)
    known = REFUSED if codec not in ("utf-8-sig", "utf-7") else None
    return Case(f"{codec}: POST {path}", [post(path, data)], statuses=known)


def deep(random, api):
    path = api.path(random)
    name = random.choice(sorted(api.endpoints[path][0]))
    depth = random.choice([62, 63, 64, 65, 66, 200, 5000, 100000])
    body = base(path)
    kind = random.choice([("[", "", "]"), ("{\"a\":", "1", "}"), ("[{\"b\":", "null", "}]"), ("[",
        "", "")])
    body[name] = odd_values.nested(depth, *kind)
    return body_case(api, path, f"{name} {depth} levels deep", body, refused=depth > 65)


def large(random, api):
    """Long arrays, strings and numbers, of up to a megabyte."""
    path = api.path(random)
    name = random.choice(sorted(api.endpoints[path][0]))
    size = random.choice([1000, 20000, 100000])
    body = base(path)
    body[name] = random.choice([
        Raw("[" + ",".join(["0"] * size) + "]"), Raw("[" + ",".join(["\"\""] * size) + "]"),
        "x" * size, "\U0001f600" * (size // 4), Raw("9" * min(size, 4000)),
        Raw("[" + ",".join(["{}"] * size) + "]"),
        Raw("{" + ",".join(f"\"{i}\":0" for i in range(size // 4)) + "}"), Raw("1." + "1" * size),
        Raw(" " * size + "1" + "\n" * size)])
    return body_case(api, path, f"{name} large", body)


def _bytes_case(api, path, what, data):
    try:
        known = judged(api, path, data.decode("utf-8"))
    except UnicodeDecodeError:
        known = REFUSED
    return Case(f"{what}: POST {path}", [post(path, data)], statuses=known)


KINDS = [(16, wrong_type), (8, out_of_range), (14, any_field), (6, many_fields), (2, missing),
         (4, repeated_key), (2, unknown_field), (2, any_document), (8, damaged_text), (2, bad_utf8),
         (1, other_encoding), (2, deep), (1, large)]
