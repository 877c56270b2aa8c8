#!/usr/bin/env python3
"""Renders chat templates with Jinja2: the reference of the tests beside it.

    render_reference.py write NAME    NAME.json to NAME_expected.jsonl, beside this file
    render_reference.py check NAME    fails where NAME_expected.jsonl is not what Jinja2 gives
    render_reference.py batch         JSON lines in, JSON lines out (differential tests)

NAME.json holds `variables` and `snippets`, each a template. Lines of batch have `template` (a
path) and `variables`. A result has `output`, or `error` and `error_type`: "raise_exception" where
the template itself refused (error is then its message), else the name of the exception.

The environment is the one that transformers' apply_chat_template sets up: a sandbox without
writes, trim_blocks and lstrip_blocks, loop controls, the generation block, its own tojson,
raise_exception and strftime_now. Two things differ, on purpose: the clock stands still, and there
is a filter from_json, which some templates use. Exits with 77 where there is no Jinja2.
"""
import datetime
import json
import pathlib
import sys

try:
    import jinja2
    from jinja2 import ext, nodes, sandbox
except ImportError:
    print("python3-jinja2 is not installed: nothing to compare with")
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent
NOW = datetime.datetime(2026, 2, 3, 4, 5, 6)

# How a render may end other than with a text. Anything else is a fault of the test data.
GENUINE = (jinja2.exceptions.TemplateError, TypeError, ValueError, ArithmeticError, LookupError,
           AssertionError, AttributeError, SyntaxError)


class Refused(jinja2.exceptions.TemplateError):
    """The template called raise_exception."""


class GenerationBlock(ext.Extension):
    """{% generation %} ... {% endgeneration %}: renders what it encloses."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_enclosed")
        return nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _enclosed(self, caller):
        return caller()


def refuse(message):
    raise Refused(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def make_environment():
    environment = sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationBlock, ext.loopcontrols])
    environment.filters["tojson"] = tojson
    environment.filters["from_json"] = json.loads
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = NOW.strftime
    return environment


def render(make_template, variables):
    try:
        return {"output": make_template().render(**variables)}
    except Refused as refusal:
        return {"error": str(refusal.message), "error_type": "raise_exception"}
    except RecursionError:
        # Python's message depends on where the stack ends.
        return {"error": "maximum recursion depth exceeded", "error_type": "RecursionError"}
    except GENUINE as error:
        return {"error": str(error), "error_type": type(error).__name__}


def expected(name):
    environment = make_environment()
    data = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    for snippet in data["snippets"]:
        result = render(lambda: environment.from_string(snippet), data["variables"])
        yield json.dumps({"snippet": snippet, **result}) + "\n"


def check(name):
    recorded = (HERE / f"{name}_expected.jsonl").read_text(encoding="utf-8").splitlines(True)
    rendered = list(expected(name))
    if len(recorded) != len(rendered):
        sys.exit(f"{name}: {len(recorded)} results recorded, {len(rendered)} snippets")
    differing = [pair for pair in zip(recorded, rendered) if pair[0] != pair[1]]
    for old, new in differing:
        print(f"recorded {old}now      {new}", end="")
    if differing:
        sys.exit(f"{name}: {len(differing)} results differ")
    print(f"{name}: {len(rendered)} results are as recorded")


def batch():
    environment = make_environment()
    templates = {}
    for line in sys.stdin:
        case = json.loads(line)
        path = case["template"]
        if path not in templates:
            with open(path, encoding="utf-8", newline="") as file:
                templates[path] = environment.from_string(file.read())
        print(json.dumps(render(lambda: templates[path], case["variables"])))


def main():
    mode, *names = sys.argv[1:] or [""]
    if mode == "batch" and not names:
        batch()
    elif mode == "check" and len(names) == 1:
        check(names[0])
    elif mode == "write" and len(names) == 1:
        with open(HERE / f"{names[0]}_expected.jsonl", "w", encoding="utf-8") as lines:
            lines.writelines(expected(names[0]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
