"""One request to a server, as bytes, and its answer as it came: no client library cleans it up."""
import socket

SECONDS = 60
MOST_BYTES = 64 << 20


class Answer:
    """lines: the status line and the fields, in their order. body: chunks joined. more: what came
    behind it before the server closed; None where it did not close."""

    def __init__(self, lines, body, more):
        self.lines, self.body, self.more = lines, body, more

    def field(self, name):
        for line in self.lines[1:]:
            key, _, value = line.partition(":")
            if key.strip().lower() == name:
                return value.strip()
        return ""


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.ended = b"", False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before the end; the answer says why

    def half_close(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def answer(self, head_only=False):
        """The next final answer; None where the server closes without one."""
        while True:
            if not self._wait_for(b"\r\n\r\n"):
                return None
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            found = Answer(head.decode("latin-1").split("\r\n"), b"", None)
            if not found.lines[0].startswith("HTTP/1.1 1"):
                break
        if not head_only:
            found.body = self._body(found)
        if found.field("connection").lower() == "close":
            while self._more():
                pass
            found.more = self.buffer
        return found

    def begin_of_body(self, size):
        """Waits for so many bytes behind the head; of an answer that goes on for long."""
        self._wait_for(b"\r\n\r\n")
        while len(self.buffer.split(b"\r\n\r\n", 1)[-1]) < size and self._more():
            pass

    def _more(self):
        if self.ended or len(self.buffer) > MOST_BYTES:
            return False
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self.ended = not data
        self.buffer += data
        return bool(data)

    def _wait_for(self, mark):
        while mark not in self.buffer:
            if not self._more():
                return False
        return True

    def _take(self, size):
        while len(self.buffer) < size and self._more():
            pass
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def _body(self, answer):
        if answer.field("transfer-encoding").lower() != "chunked":
            return self._take(int(answer.field("content-length") or 0))
        body = b""
        while self._wait_for(b"\r\n"):
            size, self.buffer = self.buffer.split(b"\r\n", 1)
            part = self._take(int(size, 16))
            self._take(2)
            if not part:
                break
            body += part
        return body
