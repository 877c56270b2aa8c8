#!/usr/bin/env python3
"""`mach check` and `mach models`: verdicts, exit codes, and a plan that loading keeps to.

Usage: check_cli.py MACH SOURCE_DIR. Standard library only.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

GIB = 1 << 30


def run(arguments, expected_code):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    if done.returncode != expected_code:
        sys.exit(f"{arguments}: exit {done.returncode}, expected {expected_code}\n{done.stderr}")
    return done


def check(mach, model, *options, code=0):
    return json.loads(run([mach, "check", model, "--json", *options], code).stdout)


def check_verdicts(mach, model):
    plan = check(mach, model)
    assert plan["verdict"] == "fits" and plan["architecture"] == "qwen3_5_moe"
    experts = plan["experts"]
    assert experts["layers"] * experts["per_layer"] * experts["bytes_each"] == experts["bytes_all"]
    assert experts["floor_bytes"] == experts["floor_slots"] * experts["bytes_each"]
    resident = sum(plan["memory"].values())
    stacked = plan["residency"]["stacked"]
    assert stacked["bytes"] == resident + experts["bytes_all"]

    def with_ceiling(size, code):
        # Rounded up a little: the option is a decimal number of gigabytes.
        return check(mach, model, "--wired-gb", f"{(size + 600) / GIB:.6f}", code=code)

    # A ceiling of exactly what is needed is tight; a little less is not enough.
    assert with_ceiling(stacked["bytes"], 1)["residency"]["stacked"]["verdict"] == "tight"
    too_small = with_ceiling(stacked["bytes"] - (1 << 20), 2)
    assert too_small["residency"]["stacked"]["verdict"] == "wont_fit"
    assert too_small["verdict"] == "wont_fit"
    # Streaming needs the resident part and one token's experts at least, and then takes what is
    # there.
    least = too_small["residency"]["streaming"]["bytes"]
    assert least > resident + experts["floor_bytes"]
    some = with_ceiling(least + 100 * experts["bytes_each"], 0)["residency"]["streaming"]
    # An eighth of it goes to the prefix cache.
    left = 100 * experts["bytes_each"] - some["prefix_bytes"]
    assert some["bank_slots"] == experts["floor_slots"] + left // experts["bytes_each"], some
    assert abs(some["prefix_bytes"] - 100 * experts["bytes_each"] // 8) < 1000, some
    assert 0.5 < some["estimated_hit_rate"] < 1
    text = run([mach, "check", model], 0).stdout
    assert "an estimate" in text and "smallest bank" in text
    print("check: verdicts and exit codes")


def check_kept(mach, model):
    """The plan's parts that do not grow with the text are what a server reserves."""
    options = ["--ctx-size", "2048", "--threads", "2"]
    plan = check(mach, model, *options)
    server = subprocess.Popen([mach, "serve", model, "--no-streaming", "--port", "0", *options],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        found = {}
        for line in server.stdout:
            if line.startswith("startup memory"):
                found = {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", line)}
            if line.startswith("serving on"):
                break
    finally:
        server.terminate()
        server.wait(timeout=30)
    for part in ("weights", "state"):
        assert found[part] == plan["memory"][part], (part, found, plan)
    # The decode loop's part lies under three tags; its tape and its staging come and go.
    beside = found["scratch"] + found["draft"] - plan["memory"]["scratch"]
    assert 0.5 * plan["memory"]["decode"] < beside <= plan["memory"]["decode"], (found, plan)
    assert plan["drafter"]["directory"].endswith("-dflash") and not plan["drafter"]["problem"]
    assert found["experts"] == plan["experts"]["bytes_all"], (found, plan)
    print("check: the plan is kept")


def check_unreadable(mach, model, work):
    run([mach, "check", work / "nothing"], 3)
    broken = work / "broken"
    shutil.copytree(model, broken)
    shards = sorted(broken.glob("*.safetensors"))
    shards[-1].unlink()
    done = run([mach, "check", broken], 3)
    assert shards[-1].name in done.stderr, done.stderr
    print("check: what cannot be read")


def check_models(mach, source, work):
    rows = json.loads(run([mach, "models", "--dir", source / "models", "--json"], 0).stdout)
    states = {row["name"]: row["state"] for row in rows}
    assert states == {"mach-tiny": "ready", "mach-tiny-dflash": "drafter"}, states
    rows = json.loads(run([mach, "models", "--dir", work, "--json"], 0).stdout)
    (broken,) = [row for row in rows if row["name"] == "broken"]
    assert broken["state"] == "incomplete" and "safetensors" in broken["detail"], broken
    assert "mach-tiny" in run([mach, "models", "--dir", source / "models"], 0).stdout
    run([mach, "models", "--dir", work / "nothing"], 1)
    print("models: states")


def check_selftest(mach, work):
    assert run([mach, "selftest"], 0).stdout.endswith("native_extension=ready\n")
    assert "scalar" in run([mach, "selftest", "--isa", "scalar"], 0).stdout
    done = run([mach, "selftest", "--file", work / "nothing"], 1)
    assert "nothing" in done.stdout and done.stdout.endswith("native_extension=missing\n"), done
    print("selftest: ready, or what is missing")


def main():
    mach, source = sys.argv[1], pathlib.Path(sys.argv[2])
    model = source / "models/mach-tiny"
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        check_verdicts(mach, model)
        check_kept(mach, model)
        check_unreadable(mach, model, work)
        check_models(mach, source, work)
        check_selftest(mach, work)


main()
