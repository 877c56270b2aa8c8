#!/usr/bin/env python3
"""Every row of the troubleshooting table of docs/streaming.md: made to happen, refused with its
message, exit code and mending command, mended by that command, and passed with the diagnostic
switch where a slow path exists.

Usage: troubleshooting_cli.py MACH FORBID SOURCE_DIR. Standard library only.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

PROMPT = ["--prompt", "Who are you?", "--temperature", "0", "--max-tokens", "24", "--json"]
SWITCH = "--allow-diagnostic-fallback"
DOCUMENTED = "LME_ALLOW_DIAGNOSTIC_PYTHON_FALLBACK"
SLOW = "diagnostic fallback: experts are read through the page cache"
FROM_CHECKPOINT = "diagnostic fallback: experts are read from the checkpoint's own tensors"
NO_IO_URING = ("io_uring=EPERM", "io_uring=ENOSYS")
NO_DIRECT = "o_direct=EINVAL"


class Server:
    def __init__(self, url, lines, errors):
        self.url, self.lines, self.errors = url, lines, errors

    def ask(self):
        """The text, or the status and message of an error."""
        body = json.dumps({"messages": [{"role": "user", "content": "Who are you?"}],
                           "temperature": 0, "max_tokens": 24}).encode()
        request = urllib.request.Request(self.url + "/chat/completions", body,
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)["choices"][0]["message"]["content"]
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["error"]["message"]

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=60) as reply:
            return json.load(reply)

    def stats(self):
        return self.get("/cache/stats")["streaming_summary"]

    def warnings(self):
        self.errors.seek(0)
        return self.errors.read()


class Bench:
    def __init__(self, mach, forbid, model):
        self.mach, self.forbid, self.model = mach, forbid, model
        self.sidecar = model / "expert_sidecar"
        self.messages = []  # of refusals
        self.expected = None

    def run(self, *arguments, code=0, lacking=None, env=None):
        arguments = [self.mach, *arguments]
        if lacking is not None:
            arguments = [self.forbid, lacking, *arguments]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120,
                              env={**os.environ, **(env or {})})
        if done.returncode != code:
            sys.exit(f"{arguments}: exit {done.returncode}, expected {code}\n"
                     f"{done.stdout}{done.stderr}")
        return done

    def generate(self, *options, **how):
        """The tokens, which are always the same, and what standard error says."""
        done = self.run("generate", self.model, *PROMPT, "--streaming", *options, **how)
        tokens = json.loads(done.stdout)["tokens"]
        assert tokens == self.expected, (options, tokens, self.expected)
        return done.stderr

    def refused(self, needles, *options, lacking=None, env=None):
        """By generate and by serve, with one message."""
        found = [self.run(command, self.model, *rest, "--streaming", *options, code=1,
                          lacking=lacking, env=env).stderr.strip()
                 for command, rest in (
                     ("generate", PROMPT), ("serve", ["--port", "0", "--request-memory-mb", "1"]))]
        # Numbers of free bytes change between two calls, and a server has its requests' memory.
        first, second = (re.sub(r"\d+", "N", text.split(": ", 1)[1]) for text in found)
        assert first == second, found
        for needle in needles:
            assert needle in found[0], (needle, found[0])
        self.messages.append(found[0])

    @contextlib.contextmanager
    def serve(self, *options, lacking=None, env=None):
        command = [self.mach, "serve", self.model, "--streaming", "--port", "0", *options]
        if lacking is not None:
            command = [self.forbid, lacking, *command]
        with tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True,
                                       env={**os.environ, **(env or {})})
            try:
                lines = []
                for line in process.stdout:
                    lines.append(line.strip())
                    if line.startswith("serving on "):
                        break
                else:
                    errors.seek(0)
                    sys.exit(f"{command}: did not start\n{errors.read()}")
                yield Server(lines[-1].split()[-1], "\n".join(lines), errors)
            finally:
                process.terminate()
                process.communicate(timeout=60)

    def prepare(self):
        self.run("export-sidecar", self.model)
        answer = json.loads(
            self.run("generate", self.model, *PROMPT, "--no-streaming").stdout)
        self.expected, self.text = answer["tokens"], answer["text"]
        assert len(self.expected) >= 8


def check_blocked_io_uring(bench):
    for lacking in NO_IO_URING:
        # The choice is the machine's: threads that read serve as well.
        for env in ({}, {"LME_DIRECT_PREAD": "auto"}, {"LME_DIRECT_PREAD": "pread"}):
            assert SLOW not in bench.generate(lacking=lacking, env=env)
        with bench.serve(lacking=lacking, env={"LME_DIRECT_PREAD": "auto"}) as server:
            assert server.ask() == bench.text
            assert "direct_pread=1 pread_mode=pread " in server.lines, server.lines
            assert "native_extension=ready fallback_policy=fail-fast" in server.lines
            assert server.stats()["direct_pread"] == {"active": 1, "mode": "pread", "expected": 1}
            assert server.get("/stats")["profile"] == "production"
            assert SLOW not in server.warnings()
        # The choice is the user's, and cannot be met.
        needles = ["direct reads: io_uring: io_uring is not available", "--direct-pread auto",
                   SWITCH, {"EPERM": "Operation not permitted",
                            "ENOSYS": "Function not implemented"}[lacking.split("=")[1]]]
        bench.refused(needles, lacking=lacking, env={"LME_DIRECT_PREAD": "io_uring"})
        bench.refused(needles, "--direct-pread", "io_uring", lacking=lacking)
        bench.generate("--direct-pread", "auto", lacking=lacking,
                       env={"LME_DIRECT_PREAD": "io_uring"})
        check_slow(bench, "buffered", "--direct-pread", "io_uring", lacking=lacking)
        done = bench.run("selftest", "--file", bench.mach, lacking=lacking)
        assert "io_uring is not available" in done.stdout and "pread works" in done.stdout
        assert "native_extension=ready" in done.stdout, done.stdout
    # And as long as it is there, it is used.
    if "io_uring works" in bench.run("selftest", "--file", bench.mach).stdout:
        with bench.serve(env={"LME_DIRECT_PREAD": "auto"}) as server:
            assert server.ask() == bench.text
            assert "direct_pread=1 pread_mode=io_uring " in server.lines, server.lines
            assert server.stats()["direct_pread"] == {"active": 1, "mode": "io_uring",
                                                      "expected": 1}
    print("io_uring that seccomp blocks: pread, or refused where it was asked for")


def check_slow(bench, mode, *options, lacking=None):
    """The diagnostic switch: the same tokens, and marked in lines, warnings and statistics."""
    for switch, env, policy in (([SWITCH], {}, "diagnostic"),
                                ([], {"LME_ALLOW_DIAGNOSTIC_FALLBACK": "1"}, "diagnostic"),
                                ([], {DOCUMENTED: "1"}, "diagnostic-python")):
        assert SLOW in bench.generate(*options, *switch, lacking=lacking, env=env)
        with bench.serve(*options, *switch, lacking=lacking, env=env) as server:
            assert server.ask() == bench.text
            assert f"direct_pread=0 pread_mode={mode} " in server.lines, server.lines
            assert "startup mode profile=diagnostic effective_backend=production " in server.lines
            assert " slow_path=buffered_reads\n" in server.lines, server.lines
            assert f"native_extension=missing fallback_policy={policy}\n" in server.lines
            stats = server.stats()
            assert stats["direct_pread"] == {"active": 0, "mode": mode, "expected": 1}, stats
            assert stats["fallback_policy"] == policy and stats["sidecar_valid"] == 1, stats
            assert stats["misses"] > 0 and stats["bytes_read"] > 0, stats
            stats = server.get("/stats")
            assert stats["profile"] == "diagnostic" and stats["fallback_policy"] == policy, stats
            assert stats["slow_paths"] == ["buffered_reads"], stats
            assert SLOW in server.warnings()
            assert " profile=diagnostic" in server.warnings()  # the request's line


def check_no_direct_reads(bench):
    needles = ["direct reads: io_uring: ", "pread: ", "layer-000.bin' lies on a file system "
               "without direct reads (O_DIRECT)", "local disk", "--sidecar-dir", SWITCH]
    bench.refused(needles, lacking=NO_DIRECT)
    for mode in ("io_uring", "pread"):
        bench.refused([f"direct reads: {mode}: ", "--sidecar-dir", SWITCH], "--direct-pread", mode,
                      lacking=NO_DIRECT)
    check_slow(bench, "buffered", lacking=NO_DIRECT)
    done = bench.run("selftest", "--file", bench.mach, code=1, lacking=NO_DIRECT)
    assert "native_extension=missing" in done.stdout, done.stdout
    bench.refused(["direct reads: they are switched off", "--direct-pread auto", SWITCH],
                  "--direct-pread", "off")
    check_slow(bench, "none", "--direct-pread", "off")

    # A file system in memory: without O_DIRECT before Linux 6.6, and to be refused then.
    shm = pathlib.Path("/dev/shm")
    if not os.access(shm, os.W_OK):
        return
    with tempfile.TemporaryDirectory(dir=shm) as directory:
        there = ["--sidecar-dir", str(pathlib.Path(directory) / "sidecar")]
        shutil.copytree(bench.sidecar, there[1])
        try:
            os.close(os.open(pathlib.Path(there[1]) / "index.bin", os.O_RDONLY | os.O_DIRECT))
            direct = True
        except OSError:
            direct = False
        if direct:
            assert SLOW not in bench.generate(*there)
        else:
            bench.refused(needles, *there)
            check_slow(bench, "buffered", *there)
        bench.refused(needles, *there, lacking=NO_DIRECT)
        check_slow(bench, "buffered", *there, lacking=NO_DIRECT)
    print("no O_DIRECT: refused, slow with the switch; tmpfs here", "has it" if direct else "lacks")


def check_from_checkpoint(bench, *options):
    """The diagnostic switch without a sidecar that could be used: the checkpoint's own tensors."""
    assert FROM_CHECKPOINT in bench.generate(*options, SWITCH)
    # A bank that holds little, so that answers read.
    with bench.serve("--expert-cache-gb", "0.002", *options, env={DOCUMENTED: "1"}) as server:
        assert server.ask() == bench.text
        assert "startup mode profile=diagnostic effective_backend=production " in server.lines
        assert " expert_residency=streaming " in server.lines, server.lines
        assert " slow_path=checkpoint_experts\n" in server.lines, server.lines
        assert " sidecar_valid=0 native_extension=ready fallback_policy=diagnostic-python" \
            in server.lines, server.lines
        stats = server.stats()
        assert stats["sidecar_valid"] == 0 and stats["direct_pread"]["active"] == 1, stats
        assert stats["misses"] > 0 and stats["bytes_read"] > 0 and stats["evictions"] > 0, stats
        assert server.get("/stats")["slow_paths"] == ["checkpoint_experts"]
        assert FROM_CHECKPOINT in server.warnings(), server.warnings()
    for slow in (["--direct-pread", "off"],):
        errors = bench.generate(*options, *slow, SWITCH)
        assert FROM_CHECKPOINT in errors and SLOW in errors, errors


def check_sidecar(bench, work):
    export = f"mach export-sidecar {bench.model}"
    command = export.split()[1:]

    def broken(needles, *options):
        bench.refused(needles, *options)
        check_from_checkpoint(bench, *options)

    def mended():
        bench.run(*command)
        bench.generate()

    shutil.move(bench.sidecar, work / "away")
    broken(["has no expert sidecar", f"'{export}'"])
    broken(["has no expert sidecar"], "--sidecar-dir", str(work / "nowhere"))
    assert FROM_CHECKPOINT not in bench.generate("--sidecar-dir", str(work / "away"), SWITCH)
    mended()

    config = bench.model / "config.json"
    text = config.read_text()
    config.write_text(text + "\n")
    broken(["source_fingerprint is", f"'{export}'"])
    mended()
    config.write_text(text)
    mended()

    layer = bench.sidecar / "layer-003.bin"
    good = layer.read_bytes()
    for damage in (good[:-1], good[:len(good) // 2], b"", good + bytes(4096)):
        layer.write_bytes(damage)
        difference = abs(len(good) - len(damage))
        exact = f"({difference} byte" if difference < 1024 else f"({difference / 1024:.1f} KiB"
        if difference >= 1 << 20:
            exact = f"({difference / (1 << 20):.1f} MiB"
        bench.refused(["layer-003.bin' has ", f", expected {len(good) / (1 << 20):.1f} MiB {exact}",
                       f"'{export}'"])
    check_from_checkpoint(bench)
    mended()
    layer.unlink()
    broken(["layer-003.bin", f"'{export}'"])
    mended()
    index = bench.sidecar / "index.bin"
    entries = bytearray(index.read_bytes())
    entries[40] ^= 1
    index.write_bytes(entries)
    broken(["index.bin: the checksum is wrong", f"'{export}'"])
    mended()

    # Damage within a record shows when it is read: the request fails, the server does not.
    stride = json.loads((bench.sidecar / "manifest.json").read_text())["record_stride"]
    assert layer.read_bytes() == good
    damaged = bytearray(good)
    for expert in range(len(good) // stride):
        damaged[expert * stride + 100] ^= 1
    layer.write_bytes(damaged)
    # The switch opens no way around that.
    for options in ([], [SWITCH, "--direct-pread", "off"]):
        message = bench.run("generate", bench.model, *PROMPT, "--streaming", *options,
                            code=1).stderr
        assert re.search(r"layer 3 expert \d+ .*layer-003.bin.*the XXH3 checksum", message), message
        assert "write it again with 'mach export-sidecar'" in message, message
        bench.messages.append(message.strip())
    found = bench.run("verify", bench.model, "--all", code=1)
    assert f"'{export}'" in found.stderr, found.stderr
    mended()
    # Of a bank that holds little, so that every answer reads.
    with bench.serve("--expert-cache-gb", "0.002", "--no-prefix-cache") as server:
        for content in (good, damaged, damaged, good):
            with open(layer, "r+b") as file:
                file.write(content)
            answer = server.ask()
            if content is good:
                assert answer == bench.text, answer
            else:
                assert answer[0] == 500 and "is damaged" in answer[1], answer
                assert "layer-003" not in answer[1], answer  # a path is for the log alone
        # The log names the file, layer, expert and offset, and why the requests failed.
        log = server.warnings()
        record = r"layer 3 expert \d+ \('[^']*/layer-003.bin'\): \d+ bytes at offset \d+ have the XXH3"
        assert re.search(r" W an expert is read again: " + record, log), log
        assert re.search(r" E an expert cannot be read: " + record, log), log
        refusals = re.findall(r" E request id=\S+ .*status=500 .*code=corrupt.*", log)
        assert len(refusals) == 2 and all("layer 3 expert" in line for line in refusals), log
        assert "Who are you" not in log
    bench.refused(["but --bf16-streaming reads"], "--bf16-streaming")
    bench.refused(["but --bf16-streaming reads"], "--bf16-streaming", SWITCH)
    print("sidecars: missing, of another checkpoint, damaged; mended by export")


def check_memory(bench):
    bench.refused(["leaves", "one token needs 36 experts", "raise --wired-gb to at least"],
                  "--wired-gb", "0.01")
    bench.refused(["leaves", "one token needs 36 experts", "lower --ctx-size to at most"],
                  "--wired-gb", "0.03", "--ctx-size", "8192")
    bench.refused(["one token needs 36", "raise --expert-cache-gb to at least 0.002"],
                  "--expert-cache-gb", "0.0005")
    bench.refused(["one token needs 36"], "--expert-cache-gb", "0.0005", SWITCH)
    bench.refused(["--wired-gb asks for", "are free on this machine"], "--wired-gb", "100000")
    bench.refused(["--wired-gb asks for"], "--wired-gb", "100000", SWITCH)
    bench.generate("--expert-cache-gb", "0.005", "--wired-gb", "0.05")
    print("memory: bank below its floor, ceiling above what is free")


def check_table(bench, source):
    """The table names what was seen, and nothing else."""
    text = (source / "docs/streaming.md").read_text()
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    rows = [row for row in rows if "--eviction" not in row]
    messages = [message for row in rows for message in re.findall(r"`(.*?)`", row)
                if not message.startswith("--") or "asks" in message]
    assert len(messages) >= 8, messages
    seen = "\n".join(bench.messages).replace("'", "")
    for message in messages:
        pattern = ".*".join(re.escape(part) for part in re.split(r"\s*…\s*", message))
        pattern = re.sub(r"NNN|\b[LE]\b", r"\\d+", pattern)
        assert re.search(pattern, seen), (message, seen)
    print(f"the table's {len(messages)} messages: seen, all of them")


def main():
    mach, forbid, source = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
    for lacking in (*NO_IO_URING, NO_DIRECT):
        done = subprocess.run([forbid, lacking, "true"], capture_output=True, text=True, timeout=60)
        if done.returncode == 77:
            print(done.stderr.strip())
            sys.exit(77)
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        model = work / "mach-tiny"
        shutil.copytree(source / "models/mach-tiny", model,
                        ignore=shutil.ignore_patterns("expert_sidecar*"))
        bench = Bench(mach, forbid, model)
        bench.prepare()
        check_blocked_io_uring(bench)
        check_no_direct_reads(bench)
        check_sidecar(bench, work)
        check_memory(bench)
        check_table(bench, source)


main()
