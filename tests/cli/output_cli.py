#!/usr/bin/env python3
"""Readers that leave and files that may not grow: an error with a status of its own, never a silent
end, and a server lives on.

Usage: output_cli.py MACH SOURCE_DIR. Standard library only.
"""
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request

GONE = 74  # standard output did not take what was written
PROMPT = ["--prompt", "Who are you?", "--temperature", "0", "--no-streaming"]


def closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def run(arguments, **options):
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([str(a) for a in arguments], stderr=subprocess.PIPE, text=True,
                          timeout=120, check=False, **options)


def limited(size):
    """For preexec_fn: files of that size at most."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def words(errors):
    """What standard error says, but for the progress of a slow machine."""
    return [line for line in errors.splitlines() if not line.startswith("loading ")]


def check_commands(mach, source):
    """Quiet, whatever the command."""
    model = source / "models/mach-tiny"
    for arguments in (["models", "--dir", source / "models"], ["archs"], ["--help"],
                      ["serve", "--help"], ["check", model], ["check", model, "--json"],
                      ["man"], ["selftest"], ["verify", model, "--sidecar-dir", source],
                      ["completion", "bash"],
                      ["generate", model, *PROMPT, "--max-tokens", "4", "--json", "--log-level", "off"]):
        pipe = closed_pipe()
        done = run([mach, *arguments], stdout=pipe)
        os.close(pipe)
        if "--sidecar-dir" in arguments:  # there is none: it says so
            assert done.returncode == GONE and "has no expert sidecar" in done.stderr, done
            continue
        assert done.returncode == GONE, (arguments, done)
        assert words(done.stderr) == [], (arguments, done.stderr)
    # As in a shell, where the status is that of the command in front.
    done = run(["bash", "-c", 'set -o pipefail; "$0" models --dir "$1" | head -c0; exit 0', mach,
                source / "models"])
    assert done.stderr == "", done
    print("commands: a reader that left is a status, and no word")


def check_generate(mach, source):
    """An answer that nobody reads ends."""
    model = source / "models/mach-tiny"
    generate = [mach, "generate", model, *PROMPT, "--max-tokens", "2000", "--log-level", "off"]
    pipe = closed_pipe()
    done = run(generate, stdout=pipe)
    os.close(pipe)
    assert done.returncode == GONE and words(done.stderr) == [], done
    # Not even standard error.
    pipe = closed_pipe()
    done = subprocess.run([str(a) for a in generate], stdout=pipe, stderr=pipe, timeout=120,
                          check=False)
    os.close(pipe)
    assert done.returncode == GONE, done
    # A full disk is told.
    with tempfile.TemporaryFile("w+") as out:
        done = run(generate, stdout=out, preexec_fn=limited(8))
    assert done.returncode == GONE, done
    assert words(done.stderr) == ["mach: cannot write standard output: File too large; raise the "
                                  "limit of file sizes (ulimit -f)"], done
    print("generate: ends with its reader, and tells of a full disk")


def check_files(mach, source, work):
    """SIGXFSZ, of whose action nobody knows, becomes an error that names the file."""
    model = work / "model"
    shutil.copytree(source / "models/mach-tiny", model,
                    ignore=shutil.ignore_patterns("expert_sidecar*"))
    reason = "File too large; raise the limit of file sizes (ulimit -f)"
    for arguments, name in ((["export-sidecar", model], "layer-000.bin"),
                            (["synth", work / "synth", "--layers", "2", "--hidden", "64", "--width",
                              "64", "--experts", "4", "--vocab", "512"], ".safetensors"),
                            (["eval", model, "--text", source / "README.md", "--logits",
                              work / "logits.safetensors"], "logits.safetensors")):
        done = run([mach, *arguments], preexec_fn=limited(100_000))
        assert done.returncode == 1 and reason in done.stderr and name in done.stderr, done
    assert run([mach, "export-sidecar", model]).returncode == 0  # it goes on where it stopped
    assert not (work / "logits.safetensors").exists()
    # Text that is redirected.
    with tempfile.TemporaryFile("w+") as out:
        done = run([mach, "man", "serve"], stdout=out, preexec_fn=limited(1000))
    assert done.returncode == GONE and reason in done.stderr, done
    print("files: beyond the limit of file sizes is an error by name")


class Server:
    """Its standard output and error are one pipe, whose reader may leave."""

    def __init__(self, mach, *options, **popen):
        self.process = subprocess.Popen([str(a) for a in (mach, "serve", *options, "--port", "0")],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, **popen)
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("serving on "):
                self.url = line.split()[-1]
                return
        sys.exit(f"mach serve {options}: {''.join(self.lines)}")

    def ask(self):
        body = b'{"messages":[{"role":"user","content":"Hi"}],"max_tokens":4}'
        request = urllib.request.Request(self.url + "/chat/completions", body,
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=60)


def check_server(mach, source, work):
    model = source / "models/mach-tiny"
    # A log collector that goes away.
    server = Server(mach, model, "--no-streaming")
    server.process.stdout.close()
    for _ in range(5):
        assert server.ask() == 200
    assert server.process.poll() is None
    assert server.stop() == 0
    # Nobody was there from the beginning: the log says so, once.
    pipe = closed_pipe()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([mach, "serve", model, "--no-streaming", "--port", "0"],
                                   stdout=pipe, stderr=errors)
        os.close(pipe)
        ready = threading.Event()
        for _ in range(600):
            errors.seek(0)
            log = errors.read()
            if "standard output took no start-up lines: Broken pipe; the server goes on" in log:
                ready.set()
                break
            if process.poll() is not None:
                sys.exit(f"mach serve ended with {process.returncode}: {log}")
            ready.wait(0.1)
        assert ready.is_set(), log
        process.terminate()
        assert process.wait(timeout=60) == 0
    # Its disk is full: answers come all the same, and the log names the reason.
    cache = work / "prefixes"
    server = Server(mach, model, "--no-streaming", "--disk-kv-dir", cache,
                    preexec_fn=limited(64 << 10))
    assert server.ask() == 200
    server.process.send_signal(signal.SIGTERM)
    log = "".join(server.lines) + server.process.stdout.read()
    assert server.process.wait(timeout=60) == 0
    assert "prefix cache: cannot write" in log and "File too large" in log, log
    print("serve: lives on without a reader of its log, and with a full disk")


def main():
    mach, source = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        check_commands(mach, source)
        check_generate(mach, source)
        check_files(mach, source, work)
        check_server(mach, source, work)


main()
