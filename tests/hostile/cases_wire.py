"""Cases: heads, framing, targets, pipelines, and clients that leave."""
from case import REFUSED, Case, base, post
from odd_values import dump

GENERATING = ["/v1/chat/completions", "/v1/completions"]
TARGETS = ["/health", "/livez", "/readyz", "/version", "/v1/models", "/v1/models/x", "/props",
           "/v1/stats",
           "/v1/cache/stats", "/metrics", "/mach/requests", "/openapi.json",
           "/v1/cache/warm_prefix"]


def _good(random, fields=(), version="HTTP/1.1"):
    path = random.choice([*GENERATING, "/tokenize"])
    return post(path, dump(base(path)), fields, version)


def _get(target="/health", fields=(), version="HTTP/1.1", method="GET"):
    return "\r\n".join([f"{method} {target} {version}", "Host: localhost", *fields, "",
                        ""]).encode("latin-1")


def framing_fields(random, api):
    """Fields that leave the end of the body in doubt: refused, all of them."""
    path = random.choice(GENERATING)
    body = dump(base(path)).encode()
    size = len(body)
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
    length, chunked = f"Content-Length: {size}", "Transfer-Encoding: chunked"
    fields, sent = random.choice([
        ([length, chunked], chunks), ([chunked, length], chunks), ([length, length], body),
        ([length, f"Content-Length: {size + 1}"], body), ([f"Content-Length: {size}, {size}"],
                                                          body),
        ([f"Content-Length: +{size}"], body), ([f"Content-Length: -{size}"], body),
        ([f"Content-Length: {size:#x}"], body), ([f"Content-Length: {size}.0"], body),
        ([f"Content-Length: {size} {size}"], body), (["Content-Length:"], body),
        (["Content-Length: a"], body),
        ([f"Content-Length: {1 << 64}"], body), ([f"Content-Length: {(1 << 64) + size}"], body),
        ([f"Content-Length: {'9' * 300}"], body), ([f"Content-Length: {1 << 63}"], body),
        ([f"Content-Length: {1 << 40}"], body), ([f"Content-Length : {size}"], body),
        ([f"Content-Length\t: {size}"], body), ([f"X: a\r\n {length}"], body),
        (["Transfer-Encoding: gzip"], chunks), (["Transfer-Encoding: gzip, chunked"], chunks),
        (["Transfer-Encoding: chunked, chunked"], chunks),
        (["Transfer-Encoding: chunked, identity"], chunks),
        (["Transfer-Encoding: xchunked"], chunks), (["Transfer-Encoding: \"chunked\""], chunks),
        (["Transfer-Encoding:"], chunks), (["Transfer-Encoding: chunked;a=b"], chunks),
        ([chunked, chunked], chunks), (["Transfer-Encoding:\x0bchunked"], chunks),
        (["Transfer-Encoding : chunked"], chunks), (["Transfer-Encoding:\r\n chunked"], chunks),
        (["Transfer-Encoding: identity"], body), ([length, "Transfer-Encoding: identity"], body)])
    version = random.choice(["HTTP/1.1"] * 4 + ["HTTP/1.0"])
    head = "\r\n".join([f"POST {path} {version}", "Host: localhost",
                        "Content-Type: application/json", *fields])
    return Case(f"framing {fields}", [head.encode("latin-1") + b"\r\n\r\n" + sent], "half_close",
                REFUSED, more=True)


def chunks(random, api):
    """Chunked bodies with a fault."""
    body = dump(base("/v1/completions")).encode()
    size = len(body)
    good = b"%x\r\n%s\r\n" % (size, body)
    bad = random.choice([
        b"%xg\r\n%s\r\n0\r\n\r\n" % (size, body), b"-%x\r\n%s\r\n0\r\n\r\n" % (size, body),
        b"0x%x\r\n%s\r\n0\r\n\r\n" % (size, body), b"%x\n%s\r\n0\r\n\r\n" % (size, body),
        b"%x\r\n%s0\r\n\r\n" % (size, body), b"%x\r\n%s\n0\r\n\r\n" % (size, body),
        b"\r\n" + good + b"0\r\n\r\n",
        b"%x \r\n%s\r\n0\r\n\r\n" % (size + 1, body), b"f" * 16 + b"\r\n" + body,
        b"f" * 17 + b"\r\n" + body,
        b"8" + b"0" * 15 + b"\r\n" + body, good + b"00000000000000000000000g\r\n\r\n",
        good + b"0\r\n a: b\r\n\r\n",
        good + b"0\r\nbad trailer\r\n\r\n", good + b"0\n\n",
        b"%x;" % size + b"a" * 40000 + b"\r\n" + body + b"\r\n0\r\n\r\n",
        good + b"0\r\n" + b"a: b\r\n" * 9000 + b"\r\n", b"%x;a=\x00\r\n%s\r\n0\r\n\r\n" % (size,
            body),
        b"2000001\r\n" + body, b"40000000\r\n" + body])
    head = _get("/v1/completions", ["Content-Type: application/json",
                                    "Transfer-Encoding: chunked"], method="POST")
    return Case("a bad chunk", [head + bad], "half_close", silent=True, more=True)


def heads(random, api):
    """Heads that are none, or too large; refused."""
    get = _get()
    bad = random.choice([
        get.replace(b"\r\n", b"\n"), get.replace(b"\r\n", b"\r"), b" " + get, get.replace(b"GET ",
            b"GET  "),
        get.replace(b"GET ", b"GET\t"), get.replace(b"GET", b"G\x00T"), get.replace(b"GET", b"G(T"),
        get.replace(b"HTTP/1.1", b"HTTP/2.0"), get.replace(b"HTTP/1.1", b"HTTP/1.10"),
        get.replace(b"HTTP/1.1", b"http/1.1"), get.replace(b" HTTP/1.1", b""),
        get.replace(b"HTTP/1.1", b"HTTP/9.9"),
        get.replace(b"HTTP/1.1", b"HTTP/1.1 "), get.replace(b"HTTP", b"HTTPS"),
        get.replace(b"/health", b"health"),
        get.replace(b"/health", b"/he alth"), get.replace(b"/health", b"/\x7f"),
        get.replace(b"/health", b"/\x80\xff"),
        get.replace(b"/health", b"/" + b"a" * 8193), get.replace(b"/health", b"/?" + b"%41" * 3000),
        get.replace(b"/health", b"*"), get.replace(b"localhost", b"a b"), get.replace(b"localhost",
            b"a@localhost"),
        get.replace(b"localhost", b"[::1"), get.replace(b"localhost", b"localhost:99999999"),
        get.replace(b"localhost", b"evil.example"), get.replace(b"Host: localhost\r\n", b""),
        get.replace(b"Host", b"Host\r\nHost"), get.replace(b"Host: localhost",
                                                           b"Host: localhost\r\nHost: localhost"),
        _get(fields=["A"]), _get(fields=[": b"]), _get(fields=["A : b"]),
        _get(fields=["A: b\r\n c"]),
        _get(fields=["A: \x00"]), _get(fields=["A: b\rC: d"]), _get(fields=["A: b\nC: d"]),
        _get(fields=["A[]: b"]),
        _get(fields=["\u00e9: b"]), _get(fields=["A: " + "b" * 40000]), _get(fields=["a: b"] * 101),
        _get(fields=["A" * 40000 + ": b"]), _get(fields=[f"x{i}: y" for i in range(5000)]),
        _get(fields=["Origin: http://evil.example"]), _get(fields=["Expect: x",
            "Content-Length: 1"], method="POST"),
        _get(fields=["Transfer-Encoding: gzip"]),
        _get("/nothing"), _get("/v1/models/" + "%00" * 3), _get(method="PUT"), _get(method="get"),
        _get(method="X" * 5000),
        _get(method="CONNECT", target="localhost:80"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x00" * 500 + b"\r\n\r\n",
        b"\r\n" * 20000 + b"x\r\n\r\n",
        bytes(random.randrange(256) for _ in range(random.randrange(1, 2000))) + b"\r\n\r\n"])
    return Case("a bad head", [bad], "half_close", REFUSED, silent=bad.startswith((b"\x16",
        b"\x00")) or b"\r\n\r\n" not in bad,
                more=True)


def odd_head(random, api):
    """A good request with one field or byte that is odd; it may well be answered."""
    request = bytearray(_good(random, random.sample([
        "Connection: keep-alive", "Connection: close", "Connection: upgrade", "Upgrade: websocket",
        "Expect: 100-continue",
        "TE: trailers", "Accept: application/xml", "Accept-Encoding: gzip",
        "Content-Encoding: gzip",
        "Content-Encoding: identity", "Authorization: Bearer \xff", "Authorization: " + "a" * 5000,
        "x-api-key: ",
        "x-session-id: " + "s" * 5000, "x-session-id: \xe9\xff", "x-request-id: " + "a" * 500,
        "x-request-id: a\tb",
        "Origin: null", "Cookie: " + "a=b; " * 500, "Range: bytes=0-1", "If-None-Match: *",
        "Content-Type: text/plain",
        "Content-Type: application/json; charset=utf-16", "X-HTTP-Method-Override: DELETE",
        "Trailer: Content-Length",
        "Connection: Content-Length", "Max-Forwards: 0"], random.randrange(1, 5))))
    if random.random() < 0.5:
        end = request.index(b"\r\n\r\n")
        request[random.randrange(end)] = random.randrange(256)
    return Case("an odd head", [bytes(request)], "half_close", silent=True, more=True)


def targets(random, api):
    """Every endpoint by every method, with odd paths, queries and bodies."""
    target = random.choice([*TARGETS, *sorted(api.endpoints), "/v1/embeddings", "/mach/requests/x",
                            "/mach/requests/x/cancel"])
    target = random.choice([target, target, "/v1" + target, target + "/", target + "//",
                            "/" + target, target + "?a=b&&=",
                            target.upper(), target + "%2e%2e", target + "/../x",
                            target.replace("/", "%2F", 1),
                            "http://localhost" + target, target + "#x", target + "?" + "a" * 4000,
                            target + "%zz"])
    method = random.choice(["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "TRACE",
                            "QUERY", "FOO"])
    body = random.choice([b"", b"", b"{}", b"null", b"[]", b"{", b"\x00" * 100,
                          b"{\"messages\":[]}"])
    fields = [f"Content-Length: {len(body)}"] if body or method == "POST" else []
    content = random.choice([[], ["Content-Type: application/json"], ["Content-Type: text/xml"],
                             ["Content-Type: ;"]])
    return Case(f"{method} {target[:80]}", [_get(target, [*fields, *content],
                                                 method=method) + body], "half_close",
                head_only=method == "HEAD", silent=True)


def truncated(random, api):
    """A request of which the end is missing: the client half closes, or leaves."""
    request = _good(random)
    cut = random.randrange(len(request))
    end = random.choice(["half_close_now", "half_close_now", "reset"])
    return Case(f"a request cut at byte {cut}", [request[:cut]], end, silent=True)


def leaves(random, api):
    """A client that leaves after a whole request, before its answer is whole."""
    path = random.choice(GENERATING)
    body = {**base(path), "max_tokens": random.choice([1, 50, 400]),
            "stream": random.random() < 0.5, "ignore_eos": True}
    count = random.choice([1, 1, 3])
    return Case("a client that leaves", [post(path, dump(body))] * count, random.choice(["reset",
        "half_close_now"]),
                silent=True, more=True, cancels=True)


def slow(random, api):
    """A good request byte by byte or in odd pieces."""
    request = _good(random)
    size = random.choice([1, 2, 7, 50])
    return Case(f"{size} bytes at a time", [request[i:i + size] for i in range(0, len(request),
        size)],
                statuses=frozenset([200]))


def pipelined(random, api):
    """Good requests, then something else."""
    first = random.choice([_get(), _good(random), _get("/livez"), _good(random,
        ["Connection: close"])])
    then = random.choice([b"\x00\xff", b"GET", b"garbage\r\n\r\n", b"{}", first[:20],
                          _get("/nothing"), b"\r\n\r\n\r\n", first * 5,
                          _get(fields=["Transfer-Encoding: gzip"]), b"0\r\n\r\n", b"A" * 70000,
                          first * 40,
                          bytes(random.randrange(256) for _ in range(300))])
    end = random.choice(["half_close", "half_close_now"])
    return Case("a pipeline", [first * random.choice([1, 1, 3]) + then], end, frozenset([200]),
                silent=True, more=True)


def long_body(random, api):
    """Lengths that lie, and bodies beyond the limit that are refused before they come."""
    size = random.choice([(32 << 20) + 1, 1 << 30, 1 << 31, (1 << 32) + 5, (1 << 63) - 1])
    fields = ["Content-Type: application/json", f"Content-Length: {size}", *random.choice([[],
        ["Expect: 100-continue"]])]
    return Case(f"a body of {size} bytes", [_get(random.choice(GENERATING), fields,
                                                 method="POST") + b"{"], "half_close", REFUSED)


KINDS = [(5, framing_fields), (3, chunks), (5, heads), (4, odd_head), (5, targets), (2, truncated),
         (1, leaves),
         (1, slow), (3, pipelined), (0.5, long_body)]
