"""What a case is: bytes, how they are sent, and what is known about the answer."""
import dataclasses

import odd_values

REFUSED = frozenset([*range(400, 500), 501, 505])
OWN_FAULTS = frozenset([501, 503, 505])  # statuses from 500 on that are answers to bad requests


@dataclasses.dataclass
class Case:
    what: str
    parts: list               # bytes, sent one after the other
    end: str = "read"         # then: read one answer; half_close once an answer came or is overdue,
                              # half_close_now, both with all answers read; or reset
    statuses: frozenset = None  # what the first answer's status is one of; None: not known
    silent: bool = False      # the server may close without an answer
    head_only: bool = False   # an answer to HEAD
    more: bool = False        # bytes of further requests: the server may answer more than once
    cancels: bool = False     # the client leaves: what it gets may end anywhere


@dataclasses.dataclass
class Api:
    """What GET /openapi.json says of the endpoints that take a body."""
    endpoints: dict  # path to (properties, required)

    @classmethod
    def read(cls, document):
        endpoints = {}
        for path, methods in document["paths"].items():
            body = methods.get("post", {}).get("requestBody")
            if body:
                schema = body["content"]["application/json"]["schema"]
                endpoints[path] = (schema["properties"], schema.get("required", []))
        return cls(endpoints)

    def path(self, random):
        """The two that generate half of the time."""
        if random.random() < 0.5:
            return random.choice(["/v1/chat/completions", "/v1/completions"])
        return random.choice(sorted(self.endpoints))


def base(path):
    """A good body, quick to answer."""
    messages = [{"role": "user", "content": "Hi"}]
    bodies = {
        "/v1/chat/completions": {"messages": messages, "max_tokens": 2, "temperature": 0},
        "/v1/completions": {"prompt": "Hi", "max_tokens": 2, "temperature": 0},
        "/tokenize": {"content": "Hi"},
        "/detokenize": {"tokens": [72, 73]},
        "/apply-template": {"messages": messages},
        "/v1/cache/warm_prefix": {"text": "Hi"},
    }
    return dict(bodies.get(path, {}))


def post(path, body, fields=(), version="HTTP/1.1"):
    """One well framed request; body: bytes or text."""
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    head = [f"POST {path} {version}", "Host: 127.0.0.1", "Content-Type: application/json",
            f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def judged(api, path, text):
    """REFUSED where the body surely is no good one; None where nothing is known."""
    known = odd_values.parsed(text)
    if known is None:
        return None
    ok, value = known
    if not ok or not isinstance(value, dict):
        return REFUSED
    properties, required = api.endpoints[path]
    if odd_values.repeats_keys(text):
        return None
    if any(value.get(name) is None for name in required):
        return REFUSED
    for name, found in value.items():
        if odd_values.violates(properties.get(name, {}), found):
            return REFUSED
    return None


def body_case(api, path, what, value, refused=False):
    """A case of one JSON body, which judged() and the caller know something about."""
    text = odd_values.dump(value)
    statuses = REFUSED if refused else judged(api, path, text)
    return Case(f"{what}: POST {path}", [post(path, text)], statuses=statuses)
