#!/usr/bin/env python3
"""`mach check` and `mach models`: verdicts, exit codes, and a plan that loading keeps to.

Usage: check_cli.py MACH SOURCE_DIR. Standard library only.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HUGE_PAGE = 2 << 20
GIB = 1 << 30
REQUESTS = ("--request-memory-mb", "1")  # the models here take little more


def run(arguments, expected_code, env=None):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60,
                          env={**os.environ, **(env or {})})
    if done.returncode != expected_code:
        sys.exit(f"{arguments}: exit {done.returncode}, expected {expected_code}\n{done.stderr}")
    return done


def check(mach, model, *options, code=0):
    return json.loads(run([mach, "check", model, "--json", *REQUESTS, *options], code).stdout)


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
        return check(mach, model, "--wired-gb", f"{(size + 600) / GIB:.6f}", "--ctx-size", "8192",
                     code=code)

    # A ceiling of exactly what is needed is tight; a little less is not enough.
    assert with_ceiling(stacked["bytes"], 0)["residency"]["stacked"]["verdict"] == "tight"
    less = with_ceiling(stacked["bytes"] - (1 << 20), 0)
    assert less["residency"]["stacked"]["verdict"] == "wont_fit"
    assert less["verdict"] == less["residency"]["streaming"]["verdict"] == "fits"
    # Streaming needs the resident part and one token's experts at least, and then takes what is
    # there.
    least = with_ceiling(resident, 2)["residency"]["streaming"]["bytes"]
    assert least > resident + experts["floor_bytes"]
    assert with_ceiling(least - (1 << 20), 2)["verdict"] == "wont_fit"
    # Slots fill what is left of the last huge page.
    smallest = with_ceiling(least, 0)["residency"]["streaming"]
    assert smallest["bank_slots"] >= experts["floor_slots"], smallest
    each = experts["bytes_each"]
    plan = with_ceiling(least + 100 * each, 0)
    some = plan["residency"]["streaming"]
    # An eighth of it goes to the prefix cache.
    assert abs(some["prefix_bytes"] - 100 * each // 8) < 1000, some
    memory = some["memory"]
    assert memory["experts"] == some["bank_slots"] * each, some
    assert (memory["experts"] + memory["staging"]) % HUGE_PAGE == 0, some
    assert plan["wired_bytes"] - HUGE_PAGE - 2 * each < some["bytes"] <= plan["wired_bytes"], plan
    refused = plan["residency"]["bf16_streaming"]
    assert refused["verdict"] == "wont_fit" and "4-bit affine, group 64" in refused["reason"]
    assert 0.5 < some["estimated_hit_rate"] < 1
    text = run([mach, "check", model], 0).stdout
    assert "an estimate" in text and "smallest bank" in text
    # Without a wish the context is all of the model's, or what the ceiling allows of it.
    assert plan["context_tokens"] == 8192
    shorter = check(mach, model, "--wired-gb", "0.05")
    found = startup(mach, model, "--no-streaming", "--wired-gb", "0.05")
    context = shorter["residency"]["stacked"]["context_tokens"]
    assert context == found["ctx_size"] and 1024 <= context < 8192 and context % 1024 == 0, found
    print("check: verdicts and exit codes")


def startup(mach, model, *options):
    """What the line `startup memory` says, and `startup mode`."""
    server = subprocess.Popen([mach, "serve", model, "--port", "0", *REQUESTS, *options],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    found = {}
    try:
        for line in server.stdout:
            if line.startswith(("startup mode", "startup direct-pread")):
                found.update(re.findall(r"(\w+)=(\S+)", line))
            if line.startswith("startup decode_path"):
                found["ctx_size"] = int(re.search(r"ctx_size=(\d+)", line).group(1))
            if line.startswith("startup memory"):
                found.update((k, int(v)) for k, v in re.findall(r"(\w+)=(\d+)", line))
            if line.startswith("serving on"):
                break
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=30)
    assert "weights" in found, errors
    return found


def check_kept(mach, model, work):
    """The plan is, number for number, what the server reserves: with every residency, with a
    sidecar of other bits than the checkpoint, and with a drafter of other bits."""
    tags = ("weights", "experts", "kv", "state", "prefix", "scratch", "staging", "draft", "requests")

    def compare(checkpoint, residency, serve, *both):
        both = ["--ctx-size", "2048", "--threads", "2", *both]
        plan = check(mach, checkpoint, *both)["residency"][residency]
        found = startup(mach, checkpoint, *serve, *both)
        assert found["expert_residency"] == residency, found
        for tag in tags:
            assert found[tag] == plan["memory"][tag], (residency, both, tag, found, plan)
        if residency != "stacked":
            assert found["bank_slots"] == plan["bank_slots"], (found, plan)
        return found

    ours = compare(model, "stacked", ["--no-streaming"], "--wired-gb", "0.2")
    four = compare(model, "stacked", ["--no-streaming"], "--wired-gb", "0.2", "--draft-bits", "4")
    assert 0 < four["draft"] < ours["draft"]
    none = compare(model, "stacked", ["--no-streaming"], "--wired-gb", "0.2", "--target-only")
    assert none["draft"] == 0
    compare(model, "stacked", ["--no-streaming"], "--wired-gb", "0.3", "--compute", "f32")
    sidecar = work / "tiny-sidecar"
    run([mach, "export-sidecar", model, "--output", sidecar], 0)
    compare(model, "streaming", ["--streaming"], "--wired-gb", "0.045", "--sidecar-dir", sidecar)

    # Without one, by the diagnostic switch: from the checkpoint's own tensors.
    switch = "--allow-diagnostic-fallback"
    slow = compare(model, "streaming", ["--streaming"], "--wired-gb", "0.06", switch)
    assert (slow["profile"], slow["sidecar_valid"]) == ("diagnostic", "0"), slow
    plan = check(mach, model, "--wired-gb", "0.06", switch)
    assert "has no expert sidecar" in plan["sidecar_problem"], plan
    assert plan["residency"]["streaming"]["slow_paths"] == ["checkpoint_experts"], plan
    assert plan["residency"]["streaming"]["profile"] == "diagnostic", plan
    assert plan["residency"]["stacked"]["profile"] == "production", plan
    text = run([mach, "check", model, switch], 0).stdout
    assert "a slow path (profile=diagnostic, checkpoint_experts)" in text, text
    assert check(mach, model)["residency"]["streaming"]["profile"] == "production"
    used = check(mach, model, "--sidecar-dir", sidecar, switch)
    assert used["residency"]["streaming"]["profile"] == "production", used

    # A bf16 checkpoint: its experts have four times the bytes of its sidecar's.
    dense = work / "dense"
    run([mach, "synth", dense, "--bits", "16", "--layers", "4", "--hidden", "256", "--width", "128",
         "--experts", "64", "--tokenizer", model], 0)
    absent = check(mach, dense)
    assert "has no expert sidecar" in absent["sidecar_problem"]
    least = check(mach, dense, "--wired-gb", "0.01", code=2)["residency"]["streaming"]["bytes"]
    plan = check(mach, dense, "--wired-gb", f"{(least + 600) / GIB:.6f}", code=1)
    assert plan["verdict"] == "tight", plan  # it would hit too rarely
    assert absent["residency"]["streaming"]["expert_format"] == "BF16"
    ceiling = ["--wired-gb", "0.08"]
    bf16 = compare(dense, "bf16_streaming", ["--streaming", "--bf16-streaming"], *ceiling)
    assert bf16["sidecar_present"] == "0" and bf16["sidecar_valid"] == "unused", bf16
    assert bf16["staging"] > 0 and bf16["profile"] == "diagnostic", bf16
    run([mach, "export-sidecar", dense, "--bits", "4"], 0)
    small = compare(dense, "streaming", ["--streaming"], *ceiling)
    assert small["bank_slots"] > bf16["bank_slots"], (small, bf16)
    assert check(mach, dense)["residency"]["streaming"]["expert_format"].startswith("4-bit")
    print("check: the plan is kept, number for number")

    # The tokens of all experts in memory, bit for bit, and not those of 4 bits.
    def generate(*options, code=0, env=None):
        return run([mach, "generate", dense, "--prompt", "Who are you?", "--temperature", "0",
                    "--max-tokens", "24", "--json", *options], code, env)

    def tokens(*options, env=None):
        return json.loads(generate(*options, env=env).stdout)["tokens"]

    expected = tokens("--no-streaming")
    assert expected == tokens("--streaming", "--bf16-streaming", *ceiling)
    bf16 = {"LME_BF16_STACKED_STREAMING": "1"}
    assert expected == tokens("--streaming", *ceiling, "--direct-pread", "pread", env=bf16)
    assert expected == tokens("--no-streaming", env=bf16)  # the flag wins
    assert "give --streaming" in generate(code=1, env=bf16).stderr
    assert "give one of them" in generate("--streaming", "--bf16-streaming", "--sidecar-dir", work,
                                          code=1).stderr
    assert "exclude" in generate("--no-streaming", "--bf16-streaming", code=2).stderr
    print("bf16_streaming: the same tokens, and what is refused")


def name_templates(config, templates):
    config.with_name("chat_template.jinja").unlink()
    config.write_text(json.dumps({**json.loads(config.read_text()), "chat_template": templates}))


def check_unreadable(mach, model, work):
    run([mach, "check", work / "nothing"], 3)
    broken = work / "broken"
    shutil.copytree(model, broken)
    shards = sorted(broken.glob("*.safetensors"))
    shards[-1].unlink()
    done = run([mach, "check", broken], 3)
    assert shards[-1].name in done.stderr, done.stderr
    # Weights that fit, and a text side that would fail after they were read.
    for name, change, needle in (
            ("tokenizer.json", lambda path: path.unlink(), "tokenizer.json"),
            ("tokenizer_config.json", lambda path: path.write_text("{"), "tokenizer_config.json"),
            ("generation_config.json", lambda path: path.write_text('{"eos_token_id": 8192}'),
             "'eos_token_id' has 8192, expected ids of the vocabulary, 0 to 8191"),
            ("generation_config.json", lambda path: path.write_text('{"temperature": -1}'),
             "temperature"),
            ("chat_template.jinja", lambda path: path.write_text("{% for m in messages %}x"), "template"),
            ("chat_template.jinja", lambda path: path.write_text("{{ raise_exception('no') }}"),
             "does not render a conversation of one user message"),
            ("tokenizer_config.json", lambda path: name_templates(path, {"rag": "x"}),
             "the chat templates are named 'rag', expected one named 'default' or 'tool_use'"),
            ("tokenizer_config.json",
             lambda path: name_templates(path, {"default": "x", "tool_use": "{{ tools.x.y }}"}),
             "the chat template 'tool_use' does not render")):
        text = work / "text"
        shutil.copytree(model, text)
        change(text / name)
        done = run([mach, "check", text], 3)
        assert "cannot be served: " in done.stdout and needle in done.stdout, (name, done.stdout)
        shutil.rmtree(text)
    # A small tensor that is missing.
    bare = work / "bare"
    shutil.copytree(model, bare)
    for path in [*bare.glob("*.safetensors"), *bare.glob("*.index.json")]:
        data = path.read_bytes()
        path.write_bytes(data.replace(b".layers.1.input_layernorm.", b".layers.1.input_layernorn."))
    done = run([mach, "check", bare], 3)
    assert "layers.1.input_layernorm" in done.stderr, done.stderr
    # A drafter that the load would refuse.
    draft = work / "draft"
    shutil.copytree(f"{model}-dflash", draft)
    config = json.loads((draft / "config.json").read_text())
    (draft / "config.json").write_text(json.dumps({**config, "hidden_size": 128}))
    done = run([mach, "check", model, "--draft-dir", draft], 3)
    assert "cannot be served as it is" in done.stdout and "does not pair" in done.stdout, done.stdout
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
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        # `make serve` may have left a sidecar in the source tree.
        model = work / "models/mach-tiny"
        shutil.copytree(source / "models/mach-tiny", model,
                        ignore=shutil.ignore_patterns("expert_sidecar*"))
        shutil.copytree(source / "models/mach-tiny-dflash", work / "models/mach-tiny-dflash")
        check_verdicts(mach, model)
        check_kept(mach, model, work)
        check_unreadable(mach, model, work)
        check_models(mach, source, work)
        check_selftest(mach, work)


main()
