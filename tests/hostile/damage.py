"""What damages a checkpoint: its JSON documents, templates and files. Each kind takes a random
generator and a Copy, changes one thing, and says what; "" where it found nothing to change."""
import json
import os
import shutil

import odd_values
from odd_values import Raw

NUMBERS = ["0", "-1", "1", "2", "3", "0.5", "1.5", "-0.0", "1e308", "-1e308", "1e400", "2147483647",
           "2147483648", "4294967295", "4294967296", "9223372036854775807", "9223372036854775808",
           "18446744073709551616", "1e19", "1e-320", "NaN", "Infinity", "-Infinity", "1073741825"]
OTHERS = ["null", "true", "false", "\"\"", "\"1\"", "\"x\"", "[]", "{}", "[1]", "[\"x\"]",
          "{\"x\":1}",
          "\"\\ud800\"", "[null]", "[[]]", "[-1]", "[1e308]"]


MOST_BYTES = 64 << 20  # of a file that is read


class Copy:
    """A checkpoint of one case: links to the files of a good one, until they are written."""

    def __init__(self, base, directory):
        self.base, self.path = base, directory
        self.poisoned = False  # weights that every token meets are not finite
        self.odd_numbers = False  # weights were changed to any bits
        self.more = ""         # what was done before
        self.template = False  # what renders a conversation was changed
        directory.mkdir()
        for file in base.iterdir():
            os.link(file, directory / file.name)

    def read(self, name):
        path = self.path / name
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return b""
        return path.read_bytes()

    def write(self, name, data):
        path = self.path / name
        self.remove(name)
        path.write_bytes(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)

    def remove(self, name):
        path = self.path / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.is_symlink() or path.exists():
            path.unlink()

    def document(self, name):
        """None where it is no JSON any more."""
        try:
            return json.loads(self.read(name).decode("utf-8"))
        except (OSError, ValueError, RecursionError):
            return None

    def files(self):
        return sorted(file.name for file in self.path.iterdir())


def paths(value, most=40, at=()):
    """Where the members of a document are, those of long ones left out."""
    found = []
    if isinstance(value, dict):
        for key in list(value)[:most]:
            found += [at + (key,), *paths(value[key], 6, at + (key,))]
    elif isinstance(value, list):
        for index in range(min(len(value), 6)):
            found += [at + (index,), *paths(value[index], 6, at + (index,))]
    return found


def _parent(document, path):
    for key in path[:-1]:
        document = document[key]
    return document


def odd(random, old=None):
    """Text in place of a value."""
    if isinstance(old, (int, float)) and not isinstance(old, bool) and random.random() < 0.3:
        return Raw(repr(random.choice([old + 1, old - 1, old * 2, -old, old / 2, old * 1e6,
                                       old + 0.5, str(old),
                                       [old], float(old)])).replace("'", "\"").replace("inf",
                                           "1e400"))
    if isinstance(old, str) and random.random() < 0.3:
        return random.choice([old.upper(), old + "x", old[:-1], "x" * 5000, old + "\x00", [old]])
    return Raw(random.choice(NUMBERS if random.random() < 0.5 else OTHERS))


def change(random, document):
    """Changes one member; what it was."""
    known = paths(document)
    if not known:
        return ""
    path = random.choice(known)
    parent = _parent(document, path)
    name = ".".join(str(key) for key in path)
    kind = random.randrange(10)
    if kind == 0:
        del parent[path[-1]]
        return f"{name} removed"
    if kind == 1 and isinstance(parent, dict):
        parent[random.choice([path[-1] + "_", path[-1].upper(), ""])] = parent.pop(path[-1])
        return f"{name} renamed"
    if kind == 2 and isinstance(parent[path[-1]], list):
        old = parent[path[-1]]
        parent[path[-1]] = random.choice([old[:-1], old + old, old[::-1], old + old[:1], []])
        return f"{name} of another length"
    value = odd(random, parent[path[-1]])
    parent[path[-1]] = value
    return f"{name} = {str(value)[:60]}"


def _dumped(copy, name, document):
    copy.write(name, odd_values.dump(document))


def member(name):
    """Damages one or two members of a document."""
    def damage(random, copy):
        document = copy.document(name)
        if document is None:
            return ""
        said = change(random, document)
        if random.random() < 0.15:
            try:
                said += ", " + change(random, document)
            except (KeyError, IndexError, TypeError):
                pass
        _dumped(copy, name, document)
        return f"{name}: {said}"
    return damage


def repeated(random, copy):
    """A member twice, with two values."""
    name = random.choice(["config.json", "generation_config.json", "tokenizer_config.json",
                          "tokenizer.json"])
    document = copy.document(name)
    if not isinstance(document, dict) or not document:
        return ""
    key = random.choice(sorted(document))
    pairs = [*document.items(), (key, odd(random, document[key]))]
    random.shuffle(pairs)
    _dumped(copy, name, tuple(pairs))
    return f"{name}: {key} twice"


def text(random, copy):
    """Bytes of a document or template cut, flipped, put in; or another one in its place."""
    names = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
             "chat_template.jinja",
             "model.safetensors.index.json"]
    name = random.choice([name for name in names if name in copy.files()])
    data = bytearray(copy.read(name))
    copy.template |= name == "chat_template.jinja"
    if not data:
        return ""
    at = random.randrange(len(data))
    kind = random.randrange(8)
    if kind == 0:
        data = data[:at]
    elif kind in (1, 2, 3):
        data[at] ^= 1 << random.randrange(8)
    elif kind == 4:
        data[at:at] = random.choice([b"\x00", b"\xff", b"\xed\xa0\x80", b"[" * 100000,
                                     b"{\"a\":" * 5000, b"NaN", b",", b"\""])
    elif kind == 5:
        del data[at:at + random.randrange(1, 20)]
    elif kind == 6:
        data = b"\xef\xbb\xbf" + data
    else:
        data = random.choice([b"", b"[]", b"{}", b"null", b"1", b"\"x\"", b"{", b"\x00" * 5000,
                              b"[" * 200000,
                              data + data, data + b"x", data.decode("utf-8",
                                  "replace").encode("utf-16")])
    copy.write(name, bytes(data))
    return f"{name}: {len(data)} bytes, kind {kind} at {at}"


def files(random, copy):
    """A file that is gone, empty, a directory, a pipe, a loop, or another one."""
    name = random.choice(copy.files())
    kind = random.choice(["gone", "empty", "directory", "pipe", "loop", "dangling", "other",
                          "device", "sparse"])
    other = random.choice(copy.files())
    data = copy.read(other) if (copy.path / other).is_file() else b""
    copy.remove(name)
    copy.template |= name == "chat_template.jinja"
    path = copy.path / name
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(name)
    elif kind == "dangling":
        path.symlink_to("nothing")
    elif kind == "other":
        path.write_bytes(data)
    elif kind == "device":
        path.symlink_to(random.choice(["/dev/zero", "/dev/null", "/dev/stdin", "/proc/self/maps",
                                       "/proc/self/mem"]))
    elif kind == "sparse":
        with open(path, "wb") as file:
            file.truncate(random.choice([1 << 30, 1 << 40]))
    return f"{name} {kind}" + (f" {other}" if kind == "other" else "")


TEMPLATES = [
    "{% for i in range(1000000000) %}x{% endfor %}",
    "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "{{ 'x' * 1000000000 }}", "{{ ('x' * 100000) * 100000 }}", "{{ [1] * 1000000000 }}",
    "{{ 10 ** 100000 }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{{ messages[100] }}",
    "{{ messages[0].content.foo.bar }}", "{{ 1 / 0 }}",
    "{{ raise_exception('no') }}", "{{ nothing() }}", "{{ messages | nothing }}", "{% if %}",
    "{% endif %}", "{{", "{%", "{#", "}}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "{{ " + "-" * 5000 + "1 }}",
    "{{ " + "not " * 5000 + "1 }}", "{% if 1 %}" * 2000,
    "{{ " + "[" * 3000, "{{ a" + ".b" * 5000 + " }}", "{{ 1" + " + 1" * 20000 + " }}", "",
    "no variables", "<|im_end|>" * 1000,
    "{% set x = 'x' %}{% for i in range(60) %}{% set x = x + x %}{% endfor %}{{ x }}",
    "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}"
    "{% endfor %}{{ ns.x }}",
    "{{ range(1 << 62) }}", "{{ range(0, 10, 0) | list }}",
    "{{ messages | tojson(indent=1000000000) }}", "{{ '%1000000000d' % 1 }}",
    "{{ '{:1000000000}'.format(1) }}", "{{ 'a'.center(1000000000) }}",
    "{{ 9223372036854775807 + 1 }}", "{{ -9223372036854775808 // -1 }}",
    "{{ 9223372036854775807 * 9223372036854775807 }}", "{{ -9223372036854775808 % -1 }}",
    "{{ messages[::0] }}", "{{ 'abc'[::-9223372036854775808] }}",
    "{{ messages[9223372036854775807:] }}", "{% set l = [1] %}{% set _ = l.append(l) %}{{ l }}",
    "{{ 'é'[0] }}", "{{ messages[0].role[-1] }}",
    "{{ x.__class__.__mro__ }}", "{{ strftime_now('%' * 1000) }}",
    "{{ strftime_now('%9999999d') }}", "{{ 'x' | replace('', 'y' * 100000) }}",
    "{% filter upper %}" * 300, "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}",
    "{% raw %}", "{% generation %}x{% endgeneration %}",
    "{{ messages | map(attribute='x') | join(',') }}", "{{ [3,'a',none] | sort }}",
    "{{ {} | dictsort }}", "{{ 1 if }}", "{{ 1 ~ 2 ~ }}"]


def template(random, copy):
    """A chat template that does too much, or nothing good."""
    copy.template = True
    made = random.choice(TEMPLATES)
    where = random.choice(["chat_template.jinja", "chat_template.jinja", "tokenizer_config.json",
                           "chat_template.json"])
    if where == "chat_template.jinja":
        copy.write(where, made)
    else:
        copy.remove("chat_template.jinja")
        value = random.choice([made, [{"name": "default", "template": made}], [{"name": "tool_use",
            "template": made}], [made],
                               {"default": made}, Raw("1"), Raw("[]"), [{"name": 1,
                                   "template": made}], [{"name": "default"}]])
        document = copy.document(where) if where in copy.files() else {}
        if not isinstance(document, dict):
            return ""
        _dumped(copy, where, {**document, "chat_template": value})
    return f"{where}: {made[:80]}"


KINDS = [(30, member("config.json")), (8, member("generation_config.json")), (6,
    member("tokenizer_config.json")),
         (12, member("tokenizer.json")), (3, repeated), (12, text), (5, files), (4, template)]
