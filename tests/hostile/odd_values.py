"""Odd JSON values as text, and what is known about them."""
import json

# Numbers, and what looks like one.
NUMBERS = ["0", "-0", "0.0", "-1", "1", "2", "0.5", "-0.5", "1e308", "-1e308", "1e309", "-1e309",
           "2147483647", "2147483648", "-2147483649", "4294967296", "9007199254740993",
           "9223372036854775807", "9223372036854775808", "-9223372036854775809",
           "18446744073709551615", "18446744073709551616", "1e-400", "1e19", "3.0000000000000001",
           "1" + "0" * 400, "-" + "9" * 300, "0." + "0" * 400 + "1", "1e1000000000", "1073741825"]
BROKEN = ["NaN", "Infinity", "-Infinity", "nan", "01", "+1", ".5", "1.", "0x10", "1e", "--1", "1e+",
          "True", "None", "undefined", "'a'", "\"", "\"\\x41\"", "\"\\u12\"", "\"a\nb\"", "\"\t\"",
          "[1,]", "[,1]", "{,}", "{\"a\":1,}", "{\"a\"}", "{a:1}", "{1:1}", "[1 2]", "/**/1", "1//",
          "[", "{", "]", "", "\"\\", "tru", "nullx", "\x00", "\ufeff1"]
TEXTS = ["", " ", "a", "0", "1", "true", "null", "auto", "none", "<|im_end|>", "<think>", "\x00",
         "a\x00b",
         "\U0001f600", "\u202e", "e\u0301" * 20, "\ufeff", "\uffff", "%s%n", "../../etc/passwd",
         "{{ 1 }}", "{% raw %}", "</tool_call>", "A" * 5000, "\u00e9" * 300, "\r\n\r\n"]
SURROGATES = ["\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\ud800\"", "\"\\udfff\\ud800\"",
              "\"a\\ud83dz\"",
              "\"\\ud83d\\ude00\"", "\"\\u0000\""]
CONTAINERS = ["[]", "{}", "[null]", "[[]]", "[{}]", "[1]", "[-1]", "[\"a\"]", "[1,\"a\"]", "[true]",
              "{\"\":0}", "{\"a\":null}", "{\"type\":\"x\"}", "{\"type\":null}", "{\"type\":1}",
              "[1e308]", "[9223372036854775808]", "[0.5]", "[[1,2],[3]]", "{\"0\":1e309}",
              "{\"0\":\"a\"}", "{\"-1\":1}", "{\"99999999999999999999\":1}", "{\"a\":1,\"a\":2}"]
WORDS = ["null", "true", "false"]


class Raw(str):
    """Text that goes into a body as it is."""


def dump(value):
    """JSON of dictionaries, lists, scalars and Raw. An object may be a list of pairs in a tuple, so
    that keys repeat."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, tuple):
        return "{" + ",".join(f"{dump(k)}:{dump(v)}" for k, v in value) + "}"
    if isinstance(value, dict):
        return dump(tuple(value.items()))
    if isinstance(value, list):
        return "[" + ",".join(dump(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def nested(depth, opening="[", inner="1", closing="]"):
    return Raw(opening * depth + inner + closing * depth)


def any_value(random):
    kind = random.randrange(12)
    if kind < 3:
        return Raw(random.choice(NUMBERS))
    if kind < 5:
        return random.choice(TEXTS)
    if kind == 5:
        return Raw(random.choice(SURROGATES))
    if kind < 8:
        return Raw(random.choice(CONTAINERS))
    if kind == 8:
        return Raw(random.choice(WORDS))
    if kind == 9:
        return Raw(random.choice(BROKEN))
    if kind == 10:
        depth = random.choice([1, 5, 30, 60, 62, 63, 64, 65, 100, 1000, 20000])
        if random.random() < 0.5:
            return nested(depth)
        return nested(depth, "{\"a\":", "{}", "}")
    return [any_value(random) for _ in range(random.randrange(4))]


def parsed(text):
    """(True, value) of strict JSON; (False, None) of what is none; None where opinions differ: on
    infinite numbers, lone surrogates, and depth."""
    def refuse(word):
        raise ValueError(word)

    try:
        value = json.loads(text, parse_constant=refuse)
    except RecursionError:
        return None
    except ValueError:
        return False, None
    return None if _doubtful(text) else (True, value)


def _doubtful(text):
    return "\\ud" in text.lower() or depth_of(text) > 60


def depth_of(text):
    deepest = depth = 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        deepest = max(deepest, depth)
    return deepest


def violates(schema, value):
    """Whether a parsed value is surely none that a property's schema allows. null is as good as
    absent."""
    types = schema.get("type")
    if value is None or not types:
        return False
    kind = types[0] if isinstance(types, list) else types
    if kind in ("integer", "number"):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return True
        if kind == "integer" and isinstance(value, float) and not value.is_integer():
            return True
        return value < schema.get("minimum", value) or value > schema.get("maximum", value)
    python = {"boolean": bool, "string": str, "array": list, "object": dict}[kind]
    return not isinstance(value, python)


def repeats_keys(text):
    repeated = []

    def pairs(found):
        if len({key for key, _ in found}) != len(found):
            repeated.append(True)
        return None

    json.loads(text, object_pairs_hook=pairs)
    return bool(repeated)
