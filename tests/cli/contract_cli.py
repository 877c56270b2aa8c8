#!/usr/bin/env python3
"""What the documented page promises of a server: start-up lines, statistics and metrics in one
vocabulary, in every mode; the environment; the probe.

Usage: contract_cli.py MACH SOURCE_DIR. Standard library only.
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
import urllib.request

# The red flags of the page, as people search for them.
RED_FLAGS = ("sidecar_valid=0", "native_extension=missing", "fallback_policy=diagnostic",
             "effective_backend=openai", "profile=diagnostic")
ORDER = ["startup mode profile=", "production optimizations direct_pread=",
         "startup direct-pread expected=", "startup memory wired_gb=", "startup decode_path=",
         "serving on http://127.0.0.1:"]


def run(arguments, code=0, env=None):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **(env or {})})
    if done.returncode != code:
        sys.exit(f"{arguments}: exit {done.returncode}, expected {code}\n{done.stdout}{done.stderr}")
    return done


class Server:
    def __init__(self, lines, errors):
        self.lines, self.errors = lines, errors
        self.url = next(line for line in lines if line.startswith("serving on ")).split()[-1]
        self.keys = {}
        for line in lines:
            if line.startswith(("startup ", "production ")):
                self.keys.update(re.findall(r"([\w-]+)=(\S+)", line))

    def read(self, path):
        with urllib.request.urlopen(self.url.removesuffix("/v1") + path, timeout=60) as reply:
            return reply.read().decode()

    def get(self, path):
        return json.loads(self.read(path))

    def ask(self, prompt):
        body = json.dumps({"messages": [{"role": "user", "content": prompt}], "temperature": 0,
                           "max_tokens": 24}).encode()
        request = urllib.request.Request(self.url + "/chat/completions", body,
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)["choices"][0]["message"]["content"]

    def log(self):
        self.errors.seek(0)
        return self.errors.read()


@contextlib.contextmanager
def serve(mach, model, *options, env=None):
    command = [str(a) for a in (mach, "serve", model, "--port", "0", *options)]
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
            yield Server(lines, errors)
        finally:
            process.terminate()
            process.communicate(timeout=60)


def check_one_vocabulary(server):
    """The same words in the lines, the JSON and the metrics."""
    for line, begin in zip(server.lines, ORDER, strict=True):
        assert line.startswith(begin), (begin, line)
    keys, stats, cache = server.keys, server.get("/v1/stats"), server.get("/v1/cache/stats")
    summary = cache["streaming_summary"]
    for name in ("profile", "effective_backend", "fallback_policy", "expert_residency",
                 "decode_path", "adaptive_block_policy"):
        assert stats[name] == keys[name], (name, stats[name], keys[name])
    assert stats["state"] == cache["state"] == "ready", (stats, cache)
    assert summary["fallback_policy"] == keys["fallback_policy"], summary
    direct = summary["direct_pread"]
    assert direct == {"active": int(keys["direct_pread"]), "mode": keys["pread_mode"],
                      "expected": int(keys["expected"])}, (direct, keys)
    assert not isinstance(direct["active"], bool)
    assert direct["mode"] in ("none", "io_uring", "pread", "buffered")
    valid = {"unused": None, "0": 0, "1": 1}[keys["sidecar_valid"]]
    assert summary["sidecar_valid"] == valid, summary
    assert ",".join(stats["slow_paths"]) == keys.get("slow_path", ""), stats
    assert (keys["profile"] == "diagnostic") == bool(stats["slow_paths"]), stats
    plan = dict(re.findall(r"(\w+)=(\d+)", server.lines[3]))  # "draft" is a path elsewhere
    for tag, size in cache["memory"].items():
        if tag != "wired_bytes":
            assert size == int(plan[tag]), (tag, size, plan)
    metrics = server.read("/metrics")
    info = ",".join(f'{name}="{stats[name]}"' for name in (
        "profile", "effective_backend", "fallback_policy", "expert_residency", "decode_path"))
    assert f"mach_serving_info{{{info}}} 1\n" in metrics, metrics
    assert f'mach_direct_pread_active{{mode="{direct["mode"]}"}} {direct["active"]}\n' in metrics
    assert (f"mach_sidecar_valid {valid}\n" in metrics) == (valid is not None)


def check_modes(mach, model, bare, dense):
    """(options, what the lines say, whether a red flag is there)"""
    resident = {"production_streaming_mode": "stacked", "expert_residency": "stacked",
                "expected": "0", "direct_pread": "0", "pread_mode": "none"}
    streams = {"production_streaming_mode": "streaming", "expert_residency": "streaming",
               "expected": "1", "direct_pread": "1", "sidecar_valid": "1"}
    well = {"profile": "production", "effective_backend": "production",
            "fallback_policy": "fail-fast", "native_extension": "ready"}
    damaged = bare.parent / "damaged"
    shutil.copytree(model / "expert_sidecar", damaged)
    (damaged / "index.bin").write_bytes(b"damage")
    for where, options, expected in (
            (model, ["--no-streaming"],
             {**well, **resident, "sidecar_present": "1", "sidecar_valid": "1"}),
            (bare, ["--no-streaming"],
             {**well, **resident, "sidecar_present": "0", "sidecar_valid": "unused"}),
            # Nothing uses it: it is no red flag.
            (bare, ["--no-streaming", "--sidecar-dir", damaged],
             {**well, **resident, "sidecar_present": "1", "sidecar_valid": "unused"}),
            (model, ["--streaming"], {**well, **streams, "decode_path": "specdec-v7"}),
            (model, ["--streaming", "--target-only"],
             {**well, **streams, "decode_path": "target-only"}),
            (model, ["--streaming", "--direct-pread", "pread"],
             {**well, **streams, "pread_mode": "pread"}),
            # The switch is on, and nothing needs it.
            (model, ["--streaming", "--allow-diagnostic-fallback"],
             {**well, **streams, "fallback_policy": "diagnostic"}),
            (model, ["--no-streaming", "--isa", "scalar"],
             {**well, **resident, "profile": "diagnostic", "slow_path": "scalar_kernels"}),
            (model, ["--no-streaming", "--compute", "f32"],
             {**well, **resident, "profile": "diagnostic", "slow_path": "f32_compute"}),
            (dense, ["--streaming", "--bf16-streaming"],
             {**well, "expert_residency": "bf16_streaming", "profile": "diagnostic",
              "slow_path": "bf16_streaming", "sidecar_valid": "unused", "expected": "1",
              "direct_pread": "1"}),
            (bare, ["--streaming", "--allow-diagnostic-fallback", "--direct-pread", "off"],
             {"profile": "diagnostic", "slow_path": "buffered_reads,checkpoint_experts",
              "expert_residency": "streaming", "fallback_policy": "diagnostic",
              "sidecar_present": "0", "sidecar_valid": "0", "native_extension": "missing",
              "direct_pread": "0", "pread_mode": "none", "expected": "1"})):
        with serve(mach, where, *options) as server:
            found = {key: server.keys.get(key) for key in expected}
            assert found == expected, (options, found, expected)
            check_one_vocabulary(server)
            clean = not any(flag in "\n".join(server.lines) for flag in RED_FLAGS)
            assert clean == (expected["profile"] == "production" and
                             expected["fallback_policy"] == "fail-fast"), server.lines
    print("start-up lines, statistics and metrics: one vocabulary, in every mode")


def check_environment(mach, model):
    env = {"LME_DIRECT_PREAD": "pread", "LME_BANK_EVICTION_POLICY": "lru",
           "LME_DISK_KV_EVICTION_POLICY": "lru", "LME_CONTINUOUS_BATCHING": "0",
           "LME_BANK_EVICTON_POLICY": "lfu", "LME_SECRET": "hunter2",
           "MANIAC_LOCAL_MOE_CHECKPOINT_PATH": "/nowhere"}
    with serve(mach, model, "--streaming", "--eviction", "lfu", env=env) as server:
        log = server.log()
        summary = server.get("/v1/cache/stats")["streaming_summary"]
        assert summary["direct_pread"]["mode"] == "pread", summary
        assert summary["eviction_policy"] == "lfu", summary
    for line in ("environment LME_DIRECT_PREAD=pread\n",
                 "environment LME_BANK_EVICTION_POLICY=lru (not used: --eviction wins)\n",
                 "environment LME_DISK_KV_EVICTION_POLICY=lru\n",
                 "environment LME_CONTINUOUS_BATCHING=0\n",
                 "environment MANIAC_LOCAL_MOE_CHECKPOINT_PATH=/nowhere (not used: <checkpoint> "
                 "wins)\n",
                 " W the environment variable LME_BANK_EVICTON_POLICY is not known and has no "
                 "effect; did you mean LME_BANK_EVICTION_POLICY?\n",
                 " W the environment variable LME_SECRET is not known"):
        assert line in log, (line, log)
    assert "hunter2" not in log
    # The documented path of the desktop, and what is not there yet.
    server = run([mach, "serve", "--no-streaming", "--wired-gb", "100000"], 1,
                 {"MANIAC_LOCAL_MOE_CHECKPOINT_PATH": str(model)})
    assert f"environment MANIAC_LOCAL_MOE_CHECKPOINT_PATH={model}" in server.stderr, server
    for name, value in (("LME_CONTINUOUS_BATCHING", "1"), ("LME_CONTINUOUS_BATCHING_MAX_B", "4")):
        done = run([mach, "serve", model, "--no-streaming"], 2, {name: value})
        assert name in done.stderr and "requests are not batched yet" in done.stderr, done
    assert "LME_DIRCT_PREAD" in run([mach, "check", model], 0, {"LME_DIRCT_PREAD": "1"}).stderr
    assert run([mach, "archs"], 0, {"LME_DIRCT_PREAD": "1"}).stderr == ""
    print("environment: printed, refused, or named as unknown")


def check_advice(mach, model, *options):
    """A bank that churns; what the probe advises can be started, and hits more often."""
    probe = [mach, "probe", "--requests", "2", "--max-tokens", "32", "--url"]
    options = ["--streaming", "--eviction", "lru", "--request-memory-mb", "1", *options]
    small = ["--expert-cache-gb", "0.0023", "--wired-gb", "0.04"]
    with serve(mach, model, *options, *small) as server:
        done = run([*probe, server.url])
        rows = [line.split(maxsplit=2) for line in done.stdout.splitlines()
                if not line.startswith("  ")]
        assert rows[-1][1] == "verdict" and "churn" in rows[-1][2], done.stdout
        worst = ["n/a", "ok", "warn", "FAIL"]
        assert worst.index(rows[-1][0]) == max(worst.index(row[0]) for row in rows[:-1]), rows
        advice = re.search(r"(--expert-cache-gb \S+ --wired-gb \S+) would have had", done.stdout)
        assert advice, done.stdout
        report = json.loads(run([*probe, server.url, "--json"]).stdout)
        assert report["verdict"] == max((c["verdict"] for c in report["checks"]),
                                        key=worst.index), report
        assert 0.9 <= report["measured"]["suggestion"]["hit_rate"] <= 1, report
        before = server.get("/v1/cache/stats")["streaming_summary"]["hit_rate"]
    with serve(mach, model, *options, *advice[1].split()) as server:
        for number in range(3):
            server.ask(f"Question {number}: who are you?")
        after = server.get("/v1/cache/stats")["streaming_summary"]["hit_rate"]
        assert after > before, (before, after)


def check_probe(mach, model, work):
    check_advice(mach, model)
    check_advice(mach, model, "--no-prefix-cache")
    probe = [mach, "probe", "--requests", "1", "--max-tokens", "8", "--url"]
    key = work / "key"
    key.write_text("secret\n")
    key.chmod(0o600)
    with serve(mach, model, "--no-streaming", "--api-key-file", key) as server:
        done = run([*probe, server.url], 1)
        assert "status 401" in done.stderr and "--api-key-file FILE" in done.stderr, done
        run([*probe, server.url, "--api-key-file", key])
    slow = ["--streaming", "--allow-diagnostic-fallback", "--direct-pread", "off"]
    with serve(mach, model, *slow) as server:
        done = run([*probe, server.url], 1)
        assert re.search(r"^FAIL  verdict .*direct-pread.*fallback", done.stdout, re.M), done.stdout
        assert json.loads(run([*probe, server.url, "--json"], 1).stdout)["verdict"] == "FAIL"
    assert "Exits with 0 when nothing fails" in run([mach, "probe", "--help"]).stdout
    print("probe: a verdict, and a bank that it advises")


def main():
    mach, source = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for name in ("model", "bare"):
            shutil.copytree(source / "models/mach-tiny", work / name,
                            ignore=shutil.ignore_patterns("expert_sidecar*"))
        shutil.copytree(source / "models/mach-tiny-dflash", work / "model-dflash")
        run([mach, "export-sidecar", work / "model"])
        run([mach, "synth", work / "dense", "--bits", "16", "--layers", "2", "--hidden", "64",
             "--width", "64", "--experts", "8", "--tokenizer", work / "model"])
        check_modes(mach, work / "model", work / "bare", work / "dense")
        check_environment(mach, work / "model")
        shutil.rmtree(work / "model-dflash")
        check_probe(mach, work / "model", work)


main()
