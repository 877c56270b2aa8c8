#!/usr/bin/env python3
"""Weights that are NaN or infinite: an error that names where, never a token.

Usage: non_finite_cli.py MACH SOURCE_DIR. Standard library only.
"""
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

MODEL = "models/mach-tiny"
NAN, INFINITY = b"\xc0\x7f", b"\x80\x7f"  # bfloat16
# (what, end of a tensor's name, element, bits, what the answer names)
CASES = [
    ("a scale of a mixer", "layers.1.linear_attn.out_proj.scales", 0, NAN, "layer 1: what its mixer"),
    ("a scale of a router", "layers.2.mlp.gate.scales", 5, INFINITY,
     "layer 2: what its feed-forward part"),
    ("a norm", "layers.3.post_attention_layernorm.weight", 7, NAN,
     "layer 3: what its feed-forward part"),
    ("the final norm", "model.norm.weight", 3, NAN, "the final norm"),
    ("the head", "lm_head.scales", 9, NAN, "the logits"),
]


def run(arguments, code):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    return done


def poison(model, ending, element, bits):
    """Sets one element of the bf16 tensor whose name ends so; returns its name."""
    for path in sorted(model.glob("*.safetensors")):
        with open(path, "r+b") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            header = json.loads(file.read(size))
            for name, tensor in header.items():
                if not name.endswith(ending):
                    continue
                assert tensor["dtype"] == "BF16", (name, tensor)
                file.seek(8 + size + tensor["data_offsets"][0] + 2 * element)
                file.write(bits)
                return name
    sys.exit(f"no tensor ends with {ending}")


def ask(url):
    body = json.dumps({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}).encode()
    request = urllib.request.Request(url + "/chat/completions", body,
                                     {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def check_server(mach, model):
    """The request fails, the server does not."""
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            [mach, "serve", str(model), "--no-streaming", "--threads", "1", "--port", "0"],
            stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            for line in server.stdout:
                if line.startswith("serving on "):
                    break
            for _ in range(2):
                status, answer = ask(line.split()[-1])
                assert status == 500 and answer["error"]["code"] == "non_finite", (status, answer)
                assert "layer 2: what its feed-forward part" in answer["error"]["message"], answer
            assert server.poll() is None
        finally:
            server.terminate()
            server.communicate(timeout=60)
        log.seek(0)
        text = log.read()
        assert text.count("code=non_finite") == 2, text


def main():
    mach, source = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as work:
        for number, (what, ending, element, bits, named) in enumerate(CASES):
            model = pathlib.Path(work) / str(number)
            shutil.copytree(source / MODEL, model, ignore=shutil.ignore_patterns("expert_sidecar"))
            name = poison(model, ending, element, bits)
            for threads in ("1", "0"):  # measured at the load, or not
                done = run([mach, "generate", model, "--no-streaming", "--prompt", "Hello",
                            "--max-tokens", "4", "--threads", threads], 1)
                assert named in done.stderr and done.stdout.strip() == "", (what, done)
            found = run([mach, "verify", model, "--all"], 1)
            assert f"not finite: '{name}'" in found.stdout, found
            assert f"1 values, the first at index {element}" in found.stdout, found
            if ending.endswith("mlp.gate.scales"):
                check_server(mach, model)
            print(f"{what}: {named}")


if __name__ == "__main__":
    main()
