#!/usr/bin/env python3
"""`mach export-sidecar` and `mach verify`: what they write, refuse, survive and find.

Usage: sidecar_cli.py MACH SOURCE_DIR. Standard library only.
"""
import fcntl
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time


def run(arguments, expected_code=0, **options):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, **options)
    if done.returncode != expected_code:
        sys.exit(f"{arguments}: exit {done.returncode}, expected {expected_code}\n"
                 f"{done.stdout}{done.stderr}")
    return done


def content(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def check_export(mach, model, work):
    out = work / "whole"
    done = run([mach, "export-sidecar", model, "--output", out, "--num-experts", "48", "--bits",
                "4"])
    assert f"wrote {out}" in done.stdout
    names = sorted(content(out))
    assert names == ["index.bin"] + [f"layer-{i:03}.bin" for i in range(8)] + ["manifest.json"]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["format"] == "mach-expert-sidecar-v1" and manifest["experts"] == 48
    assert sorted(p.name for p in work.iterdir()) == ["model", "whole"]
    # Again, with other jobs: the same bytes.
    before = content(out)
    run([mach, "export-sidecar", model, "--output", out, "--jobs", "1"])
    assert content(out) == before
    done = run([mach, "verify", model, "--sidecar-dir", out, "--all"])
    assert "records ok: 384 checksums hold" in done.stdout, done.stdout
    print("export: twice the same bytes, verified")
    return out


def check_refusals(mach, model, work, out):
    def refused(message, *options, code=1, **kwargs):
        done = run([mach, "export-sidecar", model, *options], code, **kwargs)
        assert message in done.stderr, done.stderr

    refused("48 experts in a layer, --num-experts says 47", "--num-experts", "47")
    refused("gate_proj of the experts is 4-bit in the checkpoint, --bits says 8", "--bits", "8")
    refused("use --bits keep", "--bits", "16")
    refused("No such file", "--output", work / "gone/out")
    refused("expected one of keep, 4, 8, 16", "--bits", "5", code=2)
    partial = pathlib.Path(f"{out}.partial")
    partial.mkdir()
    with open(partial / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused("is being written by another", "--output", out)
    shutil.rmtree(partial)
    # A directory with other things in it would be lost.
    precious = work / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    refused("holds 'thesis.txt', which is no part of a sidecar", "--output", precious)
    assert content(precious) == {"thesis.txt": b"years of work"}
    shutil.rmtree(precious)
    # A full disk: the limit of file sizes stands in for it.
    full = work / "full"
    refused("File too large; raise the limit of file sizes (ulimit -f)", "--output", full,
            preexec_fn=lambda: limit_files(100_000))
    assert not full.exists()
    run([mach, "export-sidecar", model, "--output", full])
    assert content(full) == content(out)
    shutil.rmtree(full)
    print("export: refusals and a full disk")


def limit_files(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def check_interruptions(mach, model, work, out):
    """Stopped at many moments, an export never leaves a half sidecar and always goes on."""
    for number, expected in ((signal.SIGKILL, -9), (signal.SIGINT, 143)):
        target = work / f"stopped-{int(number)}"
        stopped = 0
        for attempt in range(20):
            export = subprocess.Popen([mach, "export-sidecar", model, "--output", target],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            time.sleep(0.02 * attempt)
            export.send_signal(number)
            _, errors = export.communicate(timeout=60)
            if export.returncode == 0:
                break
            stopped += 1
            # Ended by the signal itself when it came before the command was ready for it.
            assert export.returncode in (expected, -number), (export.returncode, errors)
            if target.exists():  # it was done but for its exit
                assert content(target) == content(out)
                break
        run([mach, "export-sidecar", model, "--output", target])
        assert content(target) == content(out)
        assert not pathlib.Path(f"{target}.partial").exists()
        shutil.rmtree(target)
        assert stopped > 0
        print(f"export: goes on after {stopped} times signal {int(number)}")


def check_read_only(mach, model, work):
    """A model that somebody else owns."""
    if os.geteuid() == 0:
        print("read-only directories: skipped, root may write to all")
        return
    closed = work / "closed"
    shutil.copytree(model, closed)
    closed.chmod(0o555)
    try:
        message = run([mach, "export-sidecar", closed], 1).stderr
        assert "--output DIR" in message and "--sidecar-dir DIR" in message, message
    finally:
        closed.chmod(0o755)
    print("read-only directories: the sidecar goes elsewhere")


def check_damage(mach, model, out):
    def damaged(*options):
        done = run([mach, "verify", model, "--sidecar-dir", out, *options], 1)
        assert f"'mach export-sidecar {model} --output {out}'" in done.stderr, done.stderr
        return done

    layer = out / "layer-003.bin"
    good = layer.read_bytes()
    stride = json.loads((out / "manifest.json").read_text())["record_stride"]
    bad = bytearray(good)
    bad[5 * stride + 100] ^= 1
    layer.write_bytes(bad)
    done = damaged("--all")
    assert "damaged: layer 3 expert 5: " in done.stdout and "layer-003.bin" in done.stdout
    assert "1 records are damaged" in done.stderr
    run([mach, "verify", model, "--sidecar-dir", out])  # which does not read records
    layer.write_bytes(good[:-1])
    assert "layer-003.bin' has" in damaged().stderr
    layer.unlink()
    assert "layer-003.bin" in damaged().stderr
    layer.write_bytes(good)
    index = out / "index.bin"
    entries = index.read_bytes()
    index.write_bytes(entries[:40] + b"\x01" + entries[41:])
    assert "the checksum is wrong" in damaged().stderr
    index.write_bytes(entries)
    # Another checkpoint, by its config alone.
    config = pathlib.Path(model) / "config.json"
    text = config.read_text()
    config.write_text(text + "\n")
    assert "source_fingerprint" in damaged().stderr
    config.write_text(text)
    run([mach, "verify", model, "--sidecar-dir", out, "--all"])
    assert "write it with" in run([mach, "verify", model], 1).stderr  # no sidecar of its own
    print("verify: damage by layer, expert and file")


def main():
    mach, source = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        model = work / "model"
        shutil.copytree(source / "models/mach-tiny", model,
                        ignore=shutil.ignore_patterns("expert_sidecar*"))
        out = check_export(mach, model, work)
        check_refusals(mach, model, work, out)
        check_interruptions(mach, model, work, out)
        check_damage(mach, model, out)
        check_read_only(mach, model, work)


if __name__ == "__main__":
    main()
