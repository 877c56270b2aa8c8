#!/usr/bin/env python3
"""The command line against the reference outputs: what `mach` prints and writes is what they hold.

Usage: golden_cli.py MACH SOURCE_DIR [EMULATOR...]. Standard library only.
"""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile


def read_safetensors(path):
    """name -> (shape, values), for F32 and I32."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + at for at in entry["data_offsets"])
        kind = {"F32": "f", "I32": "i"}[entry["dtype"]]
        values = struct.unpack(f"<{(end - begin) // 4}{kind}", data[begin:end])
        tensors[name] = (entry["shape"], values)
    return tensors


def run(arguments, expected_code=0, text=None):
    done = subprocess.run(arguments, input=text, capture_output=True, text=True, timeout=600)
    if done.returncode != expected_code:
        sys.exit(f"{arguments}: exit {done.returncode}, expected {expected_code}\n{done.stderr}")
    return done


def check_generate(mach, source, work):
    model = source / "models/mach-tiny"
    texts = json.loads((source / "tests/goldens/mach-tiny/golden-4bit.json").read_text())
    cases = [t for t in texts if t["case"] is not None]
    if "MACH_TEST_BRIEF" in os.environ:  # where arithmetic is emulated
        cases = sorted(cases, key=lambda t: len(t["input_ids"]) + len(t["greedy"]))[:3]
    for i, text in enumerate(cases):
        messages = work / "messages.json"
        messages.write_text(json.dumps(text["case"]))
        # One of them through standard input.
        file, stdin = ("-", messages.read_text()) if i == 0 else (str(messages), None)
        done = run([*mach, "generate", model, "--messages", file, "--temperature", "0",
                    "--compute", "f32", "--json"], text=stdin)
        answer = json.loads(done.stdout)
        expected = [t for t in text["greedy"] if t != 2]
        assert answer["tokens"] == expected, (i, answer["tokens"], expected)
        assert answer["finish_reason"] == "stop"
        assert answer["timings"]["prompt_n"] == len(text["input_ids"]), i
    # A raw prompt that spells the whole template is the same prompt.
    done = run([*mach, "generate", model, "--raw", "--prompt", cases[1]["text"], "--temperature",
                "0", "--compute", "f32", "--json"])
    assert json.loads(done.stdout)["tokens"] == [t for t in cases[1]["greedy"] if t != 2]
    print(f"generate: {len(cases)} conversations as in the reference")


def check_eval(mach, source, work):
    for family, tolerance in (("qwen3_moe", 2e-5), ("qwen3_5_moe", 1e-4)):
        folder = source / "tests/goldens" / family
        golden = read_safetensors(folder / "golden.safetensors")
        ids = work / "ids.json"
        ids.write_text(json.dumps(golden["input_ids"][1]))
        files = {kind: work / f"{kind}.safetensors" for kind in ("logits", "hidden", "experts")}
        run([*mach, "eval", folder / "hub", "--ids", ids, "--compute", "f32", "--chunk", "7"] +
            [x for kind, file in files.items() for x in (f"--{kind}", str(file))])
        found = {**read_safetensors(files["logits"]), **read_safetensors(files["hidden"])}
        assert set(found) == {"logits_full"} | {f"hidden_{i}" for i in range(5)}
        for name, (shape, values) in found.items():
            assert shape == golden[name][0], (name, shape)
            worst = max(abs(a - b) for a, b in zip(values, golden[name][1]))
            assert worst <= tolerance, (family, name, worst)
        shape, experts = read_safetensors(files["experts"])["experts"]
        assert shape == [4, len(golden["input_ids"][1]), 2]
        assert all(0 <= e < 8 for e in experts)
        print(f"eval: {family} within {tolerance}")


def check_usage(mach, source):
    model = source / "models/mach-tiny"
    for arguments in (["generate", model], ["eval", model], ["nonsense"], ["serve", model, "--prot", "1"]):
        run([*mach, *arguments], expected_code=2)
    for arguments in (["generate", source / "nowhere", "--prompt", "x"],
                      ["generate", model, "--messages", "/dev/null"]):
        done = run([*mach, *arguments], expected_code=1)
        assert done.stderr.startswith("mach generate: "), done.stderr
    assert json.loads(run([*mach, "archs", "--json"]).stdout)[0]["name"]
    print("usage: exit codes")


def main():
    mach, source = [*sys.argv[3:], sys.argv[1]], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        check_generate(mach, source, work)
        check_eval(mach, source, work)
    check_usage(mach, source)


if __name__ == "__main__":
    main()
