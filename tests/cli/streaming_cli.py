#!/usr/bin/env python3
"""Sidecars on disk: the same text from them, export, kill and resume, damage. What refuses to
start is in troubleshooting_cli.py.

Usage: streaming_cli.py MACH SOURCE_DIR. Standard library only.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PROMPT = ["--prompt", "Who are you?", "--temperature", "0", "--max-tokens", "24"]


def run(arguments, code=0, env=None):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120,
                          env={**os.environ, **(env or {})})
    if done.returncode != code:
        sys.exit(f"{arguments}: exit {done.returncode}, expected {code}\n{done.stderr}")
    return done


class Bench:
    def __init__(self, mach, model):
        self.mach, self.model = mach, model
        self.sidecar = model / "expert_sidecar"

    def export(self, *options, code=0):
        return run([self.mach, "export-sidecar", self.model, *options], code)

    def generate(self, *options, code=0, env=None):
        return run([self.mach, "generate", self.model, *PROMPT, *options], code, env)

    def refused(self, needle, *options, env=None):
        message = self.generate("--streaming", *options, code=1, env=env).stderr
        assert needle in message, (needle, message)
        return message


def check_identity(bench):
    expected = bench.generate("--no-streaming").stdout
    assert expected == bench.generate().stdout
    for options in ([], ["--wired-gb", "0.035"], ["--direct-pread", "pread", "--eviction", "lfu"],
                    ["--eviction", "lru", "--decode-residency", "pin-hot", "--transient-prefill", "0"],
                    ["--direct-pread", "off", "--allow-diagnostic-fallback"]):
        assert bench.generate("--streaming", *options).stdout == expected, options
    print("streaming: the same text in every mode")


def check_drafter(bench, source):
    """With a drafter beside the model, the bank leaves room for it."""
    expected = bench.generate("--no-streaming").stdout
    drafter = bench.model.parent / "mach-tiny-dflash"
    shutil.copytree(source / "models/mach-tiny-dflash", drafter)
    plan = json.loads(run([bench.mach, "check", bench.model, "--json"]).stdout)
    least = sum(plan["memory"].values()) + plan["experts"]["floor_bytes"]
    for extra in (8 << 20, 12 << 20):
        ceiling = f"{(least + extra) / (1 << 30):.6f}"
        assert bench.generate("--streaming", "--wired-gb", ceiling).stdout == expected
    assert bench.generate("--streaming", "--target-only", "--wired-gb", "0.035").stdout == expected
    shutil.rmtree(drafter)
    print("streaming: with a drafter, the same text")


def check_refusals(bench):
    bench.refused("--expert-cache-gb asks for", "--expert-cache-gb", "0.015", "--wired-gb", "0.035")
    bench.refused("switched off", env={"LME_DIRECT_PREAD": "off"})
    bench.generate("--streaming", env={"LME_DIRECT_PREAD": "off",
                                       "LME_ALLOW_DIAGNOSTIC_PYTHON_FALLBACK": "1"})
    for both in ([], ["--streaming", "--no-streaming"]):
        done = run([bench.mach, "serve", bench.model, *both], 2)
        assert "--no-streaming" in done.stderr, done.stderr
    print("streaming: what is refused")


def check_damage(bench):
    layer = bench.sidecar / "layer-003.bin"
    good = layer.read_bytes()
    record = json.loads((bench.sidecar / "manifest.json").read_text())["record_stride"]
    bad = bytearray(good)
    for expert in range(len(good) // record):
        bad[expert * record + 100] ^= 1
    layer.write_bytes(bad)
    message = bench.refused("layer 3 expert")
    assert "layer-003.bin" in message, message
    verified = run([bench.mach, "verify", bench.model, "--all"], 1)
    assert verified.stdout.count("damaged: layer 3") == 20 and "48 records" in verified.stderr
    layer.write_bytes(good[:-1])
    bench.refused("layer-003.bin' has")
    layer.unlink()
    bench.refused("layer-003.bin")
    layer.write_bytes(good)
    run([bench.mach, "verify", bench.model, "--all"])

    manifest = bench.sidecar / "manifest.json"
    text = manifest.read_text()
    for old, new in (("mach-expert-sidecar-v1", "mach-expert-sidecar-v9"), ("t16-v1", "t16-v2"),
                     ('"experts": 48', '"experts": 47'), ('"BF16"', '"F16"'), ("{", "[")):
        manifest.write_text(text.replace(old, new, 1))
        bench.refused("index.bin" if old in ('"experts": 48', '"BF16"') else "manifest.json")
    manifest.write_text(text)
    config = bench.model / "config.json"
    config_text = config.read_text()
    config.write_text(config_text + " ")
    bench.refused("source_fingerprint")
    config.write_text(config_text)
    bench.generate("--streaming")
    print("streaming: damaged sidecars")


def check_export(bench, work):
    assert "--num-experts says 64" in bench.export("--num-experts", "64", code=1).stderr
    assert "--bits keep" in bench.export("--bits", "8", code=1).stderr
    before = {f.name: f.read_bytes() for f in bench.sidecar.iterdir()}
    bench.export("--bits", "4", "--num-experts", "48", "--jobs", "1")
    assert before == {f.name: f.read_bytes() for f in bench.sidecar.iterdir()}
    # Killed at many moments: the directory is the old one or whole, and the next run finishes.
    target = work / "killed"
    for i in range(12):
        process = subprocess.Popen([bench.mach, "export-sidecar", bench.model, "--output", target],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.004 * i)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if target.exists():
            run([bench.mach, "verify", bench.model, "--sidecar-dir", target, "--all"])
    run([bench.mach, "export-sidecar", bench.model, "--output", target])
    assert before == {f.name: f.read_bytes() for f in target.iterdir()}
    assert not pathlib.Path(f"{target}.partial").exists()
    # A place that cannot be written.
    blocked = work / "file"
    blocked.write_text("")
    run([bench.mach, "export-sidecar", bench.model, "--output", blocked / "x"], 1)
    print("export: options, kills, errors")


def main():
    mach, source = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        model = work / "mach-tiny"
        shutil.copytree(source / "models/mach-tiny", model,
                        ignore=shutil.ignore_patterns("expert_sidecar*"))
        bench = Bench(mach, model)
        bench.export()
        check_identity(bench)
        check_drafter(bench, source)
        check_refusals(bench)
        check_damage(bench)
        check_export(bench, work)


main()
