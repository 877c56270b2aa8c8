#!/usr/bin/env python3
"""`mach synth`: what it writes runs, and what goes wrong is said and leaves nothing behind.

Usage: synth_cli.py MACH SOURCE_DIR. Standard library only.
"""
import json
import pathlib
import resource
import subprocess
import sys
import tempfile


def run(arguments, expected_code=0, **more):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, **more)
    if done.returncode != expected_code:
        sys.exit(f"{arguments}: exit {done.returncode}, expected {expected_code}\n{done.stderr}")
    return done


def check_runs(mach, source, work):
    tokenizer = ["--tokenizer", source / "models/mach-tiny"]
    for family in ("qwen3_moe", "qwen3_5_moe"):
        model = work / family
        done = run([mach, "synth", model, "--family", family, "--layers", "2", *tokenizer])
        assert family in done.stdout and "2 layers" in done.stdout, done.stdout
        assert "tokenizer" not in done.stdout, done.stdout
        plan = json.loads(run([mach, "check", model, "--json"]).stdout)
        assert plan["architecture"] == family and plan["verdict"] == "fits", plan
        answer = json.loads(run([mach, "generate", model, "--prompt", "Hello", "--max-tokens",
                                 "20", "--json"]).stdout)
        # There is no end of turn.
        assert len(answer["tokens"]) == 20 and answer["finish_reason"] == "length", answer
    print("synth: models that generate")


def check_sizes(mach, work):
    model = work / "sizes"
    run([mach, "synth", model, "--shape", "30b-a3b", "--layers", "1", "--vocab", "1000", "--bits",
         "16", "--experts", "9", "--width", "96", "--shard-mb", "3", "--seed", "5"])
    config = json.loads((model / "config.json").read_text())
    sizes = {"num_hidden_layers": 1, "vocab_size": 1000, "num_experts": 9, "num_experts_per_tok": 8,
             "hidden_size": 2048, "moe_intermediate_size": 96, "num_attention_heads": 32}
    assert {key: config[key] for key in sizes} == sizes, config
    index = json.loads((model / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {p.name for p in model.glob("*.safetensors")}
    # A bf16 layer has projections of 16 MB, each in a file of its own.
    assert len(list(model.glob("model-000*-of-000*.safetensors"))) > 4
    ids = work / "ids.json"
    ids.write_text(json.dumps(list(range(0, 1000, 50))))
    assert "perplexity=" in run([mach, "eval", model, "--ids", ids]).stdout
    print("synth: given sizes win over the shape's")


def check_tokenizer_notes(mach, source, work):
    small = ["--layers", "1"]
    assert "no tokenizer" in run([mach, "synth", work / "bare", *small]).stdout
    tokenizer = ["--tokenizer", source / "models/mach-tiny"]
    done = run([mach, "synth", work / "wide", *small, *tokenizer, "--vocab", "9000"])
    assert "8192 of the 9000" in done.stdout, done.stdout
    print("synth: says what the tokenizer lacks")


def check_failures(mach, source, work):
    def fails(message, *arguments, code=1, **more):
        done = run([mach, "synth", *arguments], code, **more)
        assert message in done.stderr, (message, done.stderr)

    new = work / "new"
    before = sorted(work.iterdir())
    tokenizer = ["--tokenizer", source / "models/mach-tiny"]
    fails("raise --vocab", new, *tokenizer, "--vocab", "8191")
    fails("nothing/tokenizer.json", new, "--tokenizer", work / "nothing")
    fails("leave it out", new, "--family", "qwen3_moe", "--shared-width", "64", code=2)
    fails("would have 96 columns", new, "--width", "96")
    fails("no model has these sizes", new, "--top-k", "17")
    fails("is not empty", work / "bare")
    # As a disk that is full in the midst of a file.
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    fails("cannot write", new, preexec_fn=limit, restore_signals=False)
    assert sorted(work.iterdir()) == before, sorted(work.iterdir())
    print("synth: failures leave nothing behind")


def main():
    mach, source = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        check_runs(mach, source, work)
        check_sizes(mach, work)
        check_tokenizer_notes(mach, source, work)
        check_failures(mach, source, work)


main()
