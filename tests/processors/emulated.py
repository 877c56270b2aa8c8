#!/usr/bin/env python3
"""The program on a processor that this machine need not be: the same tokens under an emulator.

Runs the self-test, the kernels' tests, a generation in f32, and a server that streams experts
through a bank of half of them, speculates and answers chats, all under qemu. Tokens are held against
the reference outputs where these are greedy, and against tests/processors/tokens.json, which
`--write` makes on the machine at hand: every processor gives the same.

Usage: emulated.py MACH SOURCE_DIR [--emulator "qemu-x86_64 -cpu Haswell"] [--isa avx2]
                   [--kernels-test FILE] [--write]
Exit status: 0, 1, or 77 (skipped) where the emulator is not installed. Standard library only.
"""
import argparse
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

TIMEOUT = 900  # seconds; an emulated processor is slow, and machines are shared
END = 2  # the token that ends a turn


def chats(goldens):
    """(name, body of a chat request): what the server is asked. Short: an emulator takes a third of
    a second for a token."""
    return [("greedy", {**goldens[3]["case"], "temperature": 0}),
            ("sampled", {**goldens[0]["case"], "temperature": 0.9, "top_p": 0.95, "seed": 7,
                         "max_tokens": 20})]


class Program:
    def __init__(self, mach, emulator):
        self.command = [*emulator, mach]

    def run(self, *arguments):
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True,
                              timeout=TIMEOUT)
        if done.returncode != 0:
            sys.exit(f"{arguments}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


class Server:
    """`mach serve` on a free port; ends with the block."""

    def __init__(self, program, *arguments):
        self.log = tempfile.NamedTemporaryFile(mode="w+")
        self.process = subprocess.Popen(
            [*program.command, "serve", *arguments, "--port", "0"], stdout=self.log,
            stderr=subprocess.STDOUT)
        self.url = None

    def output(self):
        return pathlib.Path(self.log.name).read_text()

    def __enter__(self):
        end = time.time() + TIMEOUT
        while self.url is None:
            if self.process.poll() is not None or time.time() > end:
                self.__exit__()
                sys.exit(f"the server did not start:\n{self.output()}")
            for line in self.output().splitlines():
                if line.startswith("serving on "):
                    self.url = line.removeprefix("serving on ")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def request(self, path, body=None):
        request = urllib.request.Request(
            self.url + path, None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return json.load(response)


def generate_f32(program, source):
    """Few tokens: an emulator computes each fused multiply-add in software."""
    answer = json.loads(program.run(
        "generate", source / "models/mach-tiny", "--no-streaming", "--target-only", "--raw",
        "--prompt", "def main", "--max-tokens", "4", "--temperature", "0", "--compute", "f32",
        "--json"))
    return answer["tokens"]


def answers(server, goldens):
    found = {}
    for name, body in chats(goldens):
        answer = server.request("/chat/completions", {**body, "return_token_ids": True})
        found[name] = answer["choices"][0]["token_ids"]
    return found


def check_server(program, source, goldens, isa, work):
    model = work / "mach-tiny"
    shutil.copytree(source / "models/mach-tiny", model,
                    ignore=shutil.ignore_patterns("expert_sidecar"))
    program.run("export-sidecar", model)
    # Blocks of a fixed length: the policy must not find that drafts do not pay on a slow machine.
    with Server(program, model, "--streaming", "--expert-cache-gb", "0.009", "--draft-dir",
                source / "models/mach-tiny-dflash", "--serving-adaptive-block-policy", "fixed-8",
                "--no-prefix-cache", "--ctx-size", "1024") as server:
        if isa is not None:
            assert f" isa={isa} " in server.output(), server.output()
        found = answers(server, goldens)
        stats = server.request("/stats")
        bank = server.request("/cache/stats")["streaming_summary"]
    expected = expected_tokens(source)
    for name, tokens in found.items():
        assert tokens == expected[name], (name, tokens, expected[name])
    assert stats["specdec_accepted"] > 0, stats
    assert bank["misses"] > 0 and bank["evictions"] > 0, bank
    print(f"server: {len(found)} chats, {stats['specdec_accepted']} of {stats['specdec_drafted']} "
          f"drafts accepted, {bank['misses']} experts read", flush=True)


def expected_tokens(source):
    return json.loads((source / "tests/processors/tokens.json").read_text())


def write_tokens(program, source, goldens):
    """One token after the other, all experts in memory: the plainest configuration."""
    with Server(program, source / "models/mach-tiny", "--no-streaming", "--target-only",
                "--no-prefix-cache") as server:
        found = {"f32": generate_f32(program, source), **answers(server, goldens)}
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(tokens)}" for name, tokens in found.items())
    (source / "tests/processors/tokens.json").write_text("{\n" + rows + "\n}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mach")
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("--emulator", default="")
    parser.add_argument("--isa")
    parser.add_argument("--kernels-test")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    emulator = shlex.split(arguments.emulator)
    if emulator and shutil.which(emulator[0]) is None:
        print(f"skipped: there is no {emulator[0]} (package qemu-user)")
        return 77
    os.environ.pop("MANIAC_LOCAL_MOE_CHECKPOINT_PATH", None)
    source = arguments.source
    program = Program(arguments.mach, emulator)
    goldens = json.loads((source / "tests/goldens/mach-tiny/golden-4bit.json").read_text())
    if arguments.write:
        write_tokens(program, source, goldens)
        return 0
    said = program.run("selftest")
    if arguments.isa is not None:
        assert f"kernels {arguments.isa}: equal the scalar code" in said, said
    print(said, end="", flush=True)
    if arguments.kernels_test is not None:
        done = subprocess.run([*emulator, arguments.kernels_test, "--gtest_brief=1"],
                              capture_output=True, text=True, timeout=TIMEOUT)
        assert done.returncode == 0, done.stdout + done.stderr
        print(done.stdout.strip().splitlines()[-1], flush=True)
    greedy = [token for token in goldens[3]["greedy"] if token != END]
    assert expected_tokens(source)["greedy"] == greedy, "tokens.json is not the reference's"
    tokens = generate_f32(program, source)
    assert tokens == expected_tokens(source)["f32"], tokens
    print(f"f32: {len(tokens)} tokens", flush=True)
    with tempfile.TemporaryDirectory() as work:
        check_server(program, source, goldens, arguments.isa, pathlib.Path(work))
    return 0


if __name__ == "__main__":
    sys.exit(main())
