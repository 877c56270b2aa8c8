#!/usr/bin/env python3
"""Every endpoint with bodies at the limit, many at once, where memory is short.

The server runs in a memory cgroup of its plan and 256 MiB, and then under a limit of its address
space. Nothing may kill it, abort or hang it; its peak stays within a tenth of its plan, and small
requests are answered beside the large ones.

Usage: memory_limits.py MACH SOURCE_DIR [BODY_MB]. Standard library only. BODY_MB: of the largest
bodies, 32 unless given; the memory of all requests is eight of them. The cgroup needs root and a
hierarchy that can be written to (version 1 or 2); without one that part is left out.
"""
import json
import os
import pathlib
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

BODY = (int(sys.argv[3]) if len(sys.argv) > 3 else 32) << 20  # --max-body-mb
REQUESTS = 8 * BODY  # --request-memory-mb
WIRED = REQUESTS + (128 << 20)  # --wired-gb
BESIDE = 256 << 20  # bytes beside the plan that the cgroup allows
SECONDS = 120  # for one answer
ALLOWED = {200, 400, 413, 501, 503}
TAGS = {"weights", "experts", "kv", "state", "prefix", "scratch", "staging", "draft", "requests"}
HI = b'{"messages":[{"role":"user","content":"hi"}],"max_tokens":2}'


def repeated(head, part, tail, size=BODY):
    count = (size - len(head) - len(tail)) // len(part)
    return head + part * count + tail


# (what, body): each shape is sent to every endpoint that takes JSON.
SHAPES = [
    ("a long message", repeated(b'{"messages":[{"role":"user","content":"', b"word ", b'"}]}')),
    ("a long text", repeated(b'{"prompt":"x","content":"', b"a", b'"}')),
    ("a long prompt", repeated(b'{"prompt":"', b"la ", b'"}')),
    ("lists in an unknown member", repeated(b'{"x":[', b"[],", b"0]}")),
    ("lists in a known member", repeated(b'{"messages":[', b"[],", b"0]}")),
    ("objects", repeated(b'{"messages":[', b'{"role":"user","content":"a"},', b"0]}")),
    ("numbers", repeated(b'{"tokens":[', b"1,", b'1],"prompt":[1]}')),
    ("members", b'{"messages":[{"role":"user","content":"a"}],"max_tokens":1'
     + b"".join(b',"m%d":0' % i for i in range(BODY // 16)) + b"}"),
    ("a schema", repeated(b'{"messages":[{"role":"user","content":"a"}],"max_tokens":1,"tools":'
                          b'[{"type":"function","function":{"name":"f","parameters":{"enum":[',
                          b'"a",', b'"b"]}}}]}')),
    ("variables", repeated(b'{"messages":[{"role":"user","content":"a"}],"max_tokens":1,'
                           b'"chat_template_kwargs":{"a":[', b'{"b":[1]},', b"0]}}")),
    ("no JSON", b"[" * BODY),
]


def head(path, size):
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {size}\r\nConnection: close\r\n\r\n").encode()


def status_of(port, path, body):
    """The status of the answer; 0: the server closed the connection without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as client:
        answer = b""
        try:
            client.sendall(head(path, len(body)) + body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before it was read
        try:
            while part := client.recv(1 << 16):
                answer = (answer + part)[:64]
        except ConnectionResetError:
            pass
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0


class Server:
    def __init__(self, command, prefix=(), address_space=None):
        def limit():
            if address_space is not None:
                resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))

        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([*prefix, *command], stdout=subprocess.PIPE,
                                        stderr=self.log, text=True, preexec_fn=limit)
        self.plan = 0
        for line in self.process.stdout:
            if line.startswith("startup memory "):
                self.plan = sum(int(n) for tag, n in re.findall(r" (\w+)=(\d+)", line)
                                if tag in TAGS)
            if line.startswith("serving on "):
                self.port = int(re.search(r":(\d+)/", line).group(1))
                return
        self.process.wait()
        raise AssertionError(f"no server: {self.text()}")

    def text(self):
        self.log.seek(0)
        return self.log.read()[-2000:]

    def status(self, key):
        """Of /proc: VmHWM, VmSize, in bytes."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) << 10
        raise AssertionError(key)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(60) in (0, 143), (self.process.returncode, self.text())


def endpoints(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=60) as reply:
        paths = json.load(reply)["paths"]
    return sorted(path for path, methods in paths.items()
                  if "post" in methods and "{" not in path)


def drive(server, allowed):
    """All shapes at all endpoints, four at a time beside unfinished bodies; returns the statuses."""
    seen, faults, lock = {}, [], threading.Lock()
    work = [(path, what, body) for what, body in SHAPES for path in endpoints(server.port)]

    def worker():
        while True:
            with lock:
                if not work:
                    return
                path, what, body = work.pop()
            try:
                status = status_of(server.port, path, body)
            except OSError as error:
                status = str(error)
            with lock:
                seen[status] = seen.get(status, 0) + 1
                if status not in allowed:
                    faults.append((path, what, status))

    unfinished = []
    for _ in range(8):
        client = socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)
        client.setblocking(False)
        try:
            client.send(head("/v1/chat/completions", BODY) + b" " * (BODY // 8))
        except OSError:
            pass
        unfinished.append(client)
    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    slowest = 0
    while any(thread.is_alive() for thread in threads):
        began = time.monotonic()
        status = status_of(server.port, "/v1/chat/completions", HI)
        slowest = max(slowest, time.monotonic() - began)
        if status not in (200, 503):
            faults.append(("/v1/chat/completions", "hi", status))
        time.sleep(0.2)
    for client in unfinished:
        client.close()
    assert server.process.poll() is None, (server.process.returncode, server.text())
    assert not faults, (faults, server.text())
    assert status_of(server.port, "/v1/chat/completions", HI) == 200
    return seen, slowest


def check(name, server, allowed=frozenset(ALLOWED)):
    seen, slowest = drive(server, allowed)
    peak = server.status("VmHWM")
    print(f"{name}: statuses {seen}, slowest small request {slowest:.1f} s, "
          f"plan {server.plan >> 20} MiB, peak {peak >> 20} MiB, "
          f"after {server.status('VmRSS') >> 20} MiB")
    assert peak <= server.plan * 1.1, (peak, server.plan)
    server.stop()


def cgroup(limit):
    """A new memory cgroup and the file of its limit; None where none can be made."""
    for root, file in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                       ("/sys/fs/cgroup", "memory.max")):
        group = pathlib.Path(root) / f"mach-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / file).write_text(str(limit))
            return group
        except OSError:
            if group.is_dir():
                group.rmdir()
    return None


def main():
    mach, source = sys.argv[1:3]
    command = [mach, "serve", str(pathlib.Path(source) / "models/mach-tiny"), "--no-streaming",
               "--wired-gb", str(WIRED / (1 << 30)), "--threads", "2", "--port", "0", "--max-body-mb",
               str(BODY >> 20), "--request-memory-mb", str(REQUESTS >> 20)]
    free = Server(command)
    address_space = free.status("VmSize")
    plan = free.plan
    check("without a limit", free)

    # The system may refuse what the server would allow: an answer too, `no_memory`.
    check("limited address space", Server(command, address_space=address_space + plan),
          ALLOWED | {500})

    group = cgroup(plan + BESIDE)
    if group is None:
        print("no memory cgroup can be made here: that part is left out")
        return
    try:
        inside = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
        check("memory cgroup", Server(command, prefix=inside))
    finally:
        for _ in range(50):
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.1)


main()
