"""HTTP on the wire, for requests that no client sends: bytes out, strictly read answers back."""
import json
import re
import select
import socket
import struct
import time

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [\t\x20-\x7e]*\Z")
MOST_BYTES = 64 << 20  # of one answer


class Malformed(Exception):
    """An answer that is no HTTP."""


class Late(Exception):
    """An answer that did not come in time."""


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def field(self, name):
        return self.fields.get(name, b"").decode("latin-1")

    def json(self):
        return strict_json(self.body)


def strict_json(text):
    """JSON in UTF-8 without NaN and Infinity; raises Malformed."""
    def refuse(word):
        raise ValueError(f"{word} is no JSON")

    try:
        return json.loads(text.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no JSON: {error}: {text[:200]!r}") from None


class Connection:
    """A client's side of one connection; every wait ends at the deadline."""

    def __init__(self, port, seconds):
        self.deadline = time.monotonic() + seconds
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.ended = False
        self.cut = False  # the server closed while bytes were under way

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self._limit()
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.cut = True
        except TimeoutError:
            raise Late("the server does not read") from None

    def half_close(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.cut = True

    def wait(self, seconds):
        """Until bytes come, the server closes, or that time is over."""
        if self.buffer or self.ended:
            return
        select.select([self.socket], [], [], seconds)

    def reset(self):
        """Leaves without a goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def answer(self, head_only=False):
        """The next final answer; None where the server closed without one."""
        while True:
            head = self._until(b"\r\n\r\n")
            if head is None:
                return None
            status, fields = _read_head(head)
            if status >= 200:
                return Answer(status, fields, self._body(status, fields, head_only))

    def rest(self):
        """What comes until the server closes."""
        while self._more():
            pass
        return self.buffer

    def _limit(self):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Late(f"no end after {len(self.buffer)} bytes")
        self.socket.settimeout(left)

    def _more(self):
        if self.ended:
            return False
        if len(self.buffer) > MOST_BYTES:
            raise Malformed("an answer without an end")
        self._limit()
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            raise Late(f"no answer; {len(self.buffer)} bytes so far") from None
        except ConnectionResetError:
            self.cut = True
            data = b""
        self.ended = not data
        self.buffer += data
        return bool(data)

    def _until(self, mark):
        while mark not in self.buffer:
            if not self._more():
                if self.buffer:
                    raise Malformed(f"closed amid {self.buffer[:200]!r}")
                return None
        found, self.buffer = self.buffer.split(mark, 1)
        return found

    def _exactly(self, size):
        while len(self.buffer) < size:
            if not self._more():
                raise Malformed(f"closed {size - len(self.buffer)} bytes before the end of a body")
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def _body(self, status, fields, head_only):
        length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
        if length is not None and coding is not None:
            raise Malformed("both Content-Length and Transfer-Encoding")
        if head_only or status in (204, 304):
            return b""
        if length is not None:
            if not re.fullmatch(rb"[0-9]{1,12}", length):
                raise Malformed(f"Content-Length {length!r}")
            return self._exactly(int(length))
        if coding is None:
            # As HTTP/1.0 has it.
            if fields.get(b"connection", b"").lower() != b"close":
                raise Malformed("an answer without an end")
            body, self.buffer = self.rest(), b""
            return body
        if coding.lower() != b"chunked":
            raise Malformed(f"Transfer-Encoding {coding!r}")
        body = b""
        while True:
            line = self._until(b"\r\n")
            if line is None or not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", line):
                raise Malformed(f"a chunk of the size {line!r}")
            size = int(line, 16)
            body += self._exactly(size)
            if self._exactly(2) != b"\r\n":
                raise Malformed("a chunk without its end")
            if size == 0:
                return body


def _read_head(head):
    lines = head.split(b"\r\n")
    match = STATUS_LINE.match(lines[0])
    if not match:
        raise Malformed(f"status line {lines[0][:200]!r}")
    fields = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.match(name) or re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value):
            raise Malformed(f"field {line[:200]!r}")
        if name.lower() in fields and name.lower() in (b"content-length", b"transfer-encoding"):
            raise Malformed(f"several {name!r}")
        fields[name.lower()] = value.strip()
    return int(match.group(1)), fields


def events(body):
    """The data of a stream's events, but [DONE]; raises Malformed."""
    found = []
    if not body.endswith(b"\n\n"):
        raise Malformed(f"a stream that ends with {body[-80:]!r}")
    for event in body.split(b"\n\n")[:-1]:
        for line in event.split(b"\n"):
            if line.startswith(b":"):
                continue
            if not line.startswith(b"data: "):
                raise Malformed(f"a line of a stream: {line[:200]!r}")
            if line != b"data: [DONE]":
                found.append(strict_json(line[6:]))
    if not body.endswith(b"data: [DONE]\n\n"):
        raise Malformed("a stream without [DONE]")
    return found
