#!/usr/bin/env python3
"""What a new user meets first: things that are no checkpoint, a missing residency, other programs'
words, values that do not fit. What a message advises is done, and has to work.

Usage: first_use_cli.py MACH SOURCE_DIR. Standard library only.
"""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

POINTER = ("version https://git-lfs.github.com/spec/v1\n"
           "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
           "size 4998530000\n")
# Every command that takes a checkpoint, with what it exits with when that is none.
COMMANDS = (("serve", ["--no-streaming", "--port", "0"], 1), ("serve", ["--streaming"], 1),
            ("serve", [], 2), ("generate", ["--prompt", "x"], 1), ("eval", ["--text", "t"], 1),
            ("check", [], 3), ("export-sidecar", [], 1), ("verify", [], 1))


class Bench:
    def __init__(self, mach, model, work):
        self.mach, self.model, self.work = mach, model, work

    def run(self, *arguments, code=0):
        done = subprocess.run([self.mach, *map(str, arguments)], capture_output=True, text=True,
                              timeout=120, cwd=self.work)
        assert done.returncode == code, (arguments, done.returncode, code, done.stdout, done.stderr)
        return done

    def error(self, *arguments, code=1):
        """The message, without the command's name and without progress before it."""
        text = self.run(*arguments, code=code).stderr
        found = re.search(r"^mach(?: [a-z-]+)?: (.*)", text, re.DOTALL | re.MULTILINE)
        assert found, text
        return found.group(1).strip()

    def generates(self, *options):
        done = self.run("generate", "mach-tiny", "--prompt", "Hello", "--temperature", "0",
                        "--max-tokens", "4", "--json", *options)
        assert json.loads(done.stdout)["tokens"]

    def serves(self, command):
        """A shell's command line ends with a server that is ready, and then stops."""
        server = subprocess.Popen(["sh", "-c", "exec " + command], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, cwd=self.work,
                                  env={**os.environ, "PATH": f"{pathlib.Path(self.mach).parent}:"
                                                             f"{os.environ['PATH']}"})
        try:
            ready = any(line.startswith("serving on") for line in server.stdout)
        finally:
            server.terminate()
            _, errors = server.communicate(timeout=60)
        assert ready and server.returncode == 0, (command, server.returncode, errors)


def number(message, phrase):
    found = re.search(re.escape(phrase) + r"([0-9.]+)", message)
    assert found, (phrase, message)
    return found.group(1).rstrip(".")


def everywhere(bench, given, needles):
    """Every command says the same, and before anything is loaded."""
    said = set()
    for command, options, code in COMMANDS:
        done = bench.run(command, given, *options, code=code)
        assert done.stdout == "", done
        said.add(done.stderr.split(": ", 1)[1])
    assert len(said) == 1, said
    (message,) = said
    assert message.count("\n") == 1, message
    for needle in needles:
        assert needle in message, (needle, message)
    return message


def with_config(bench, name, **changes):
    """The model with another config.json; a change to None removes the key."""
    directory = bench.work / name
    directory.mkdir()
    for file in bench.model.iterdir():
        if file.name != "config.json" and file.is_file():
            (directory / file.name).symlink_to(file)
    config = json.loads((bench.model / "config.json").read_text())
    config.update(changes)
    config = {key: value for key, value in config.items() if value is not None}
    (directory / "config.json").write_text(json.dumps(config))
    return name


def check_other_things(bench):
    work = bench.work
    everywhere(bench, "Qwen/Qwen3-30B-A3B",
               ["looks like the id of a Hugging Face repository",
                "'hf download Qwen/Qwen3-30B-A3B --local-dir models/Qwen3-30B-A3B'",
                "git lfs install && git clone"])
    everywhere(bench, "mach-tinny", ["there is no directory 'mach-tinny'",
                                     "did you mean 'mach-tiny'?"])
    everywhere(bench, "qwen3:30b", ["Ollama"])
    everywhere(bench, "nothing-of-the-kind", ["there is no directory", "hf download ORG/NAME"])
    (work / "empty").mkdir()
    everywhere(bench, "empty", ["'empty' is an empty directory", "fills it"])
    (work / "gguf").mkdir()
    (work / "gguf/model-q4.gguf").write_bytes(b"GGUF" + bytes(100))
    everywhere(bench, "gguf", ["'gguf' holds GGUF ('model-q4.gguf')", "does not read yet",
                               "safetensors in BF16"])
    everywhere(bench, "gguf/model-q4.gguf", ["is a GGUF file", "does not read yet"])
    everywhere(bench, "mach-tiny/model-00001-of-00002.safetensors",
               ["is one file of a checkpoint; give its directory, 'mach-tiny'"])
    everywhere(bench, "mach-tiny/config.json", ["is one file of a checkpoint"])
    (work / "note.txt").write_text("x")
    everywhere(bench, "note.txt", ["'note.txt' is a file; expected the directory of a model"])
    (work / "torch").mkdir()
    (work / "torch/config.json").write_text('{"model_type": "qwen3_moe"}')
    (work / "torch/pytorch_model.bin").write_bytes(b"PK")
    everywhere(bench, "torch", ["holds a PyTorch checkpoint ('pytorch_model.bin')", "convert it"])
    (work / "upper").mkdir()
    (work / "upper/model").symlink_to(bench.model)
    everywhere(bench, "upper", ["'upper' has no config.json, but 'upper/model' has one: give that"])
    cache = work / "hub/models--Qwen--Qwen3-30B-A3B"
    (cache / "snapshots").mkdir(parents=True)
    (cache / "snapshots/0a1b").symlink_to(bench.model)
    everywhere(bench, cache.relative_to(work), ["a folder of Hugging Face's cache",
                                                f"give '{cache.relative_to(work)}/snapshots/0a1b'"])
    everywhere(bench, "hub", ["is Hugging Face's cache; give a snapshot in it"])
    everywhere(bench, "mach-tiny-dflash",
               ["is a drafter (DFlash)", "give the model, 'mach-tiny',"])
    print("no checkpoints: recognised by every command")


def check_configs(bench):
    llama = with_config(bench, "llama", model_type="llama", text_config={"vocab_size": 10},
                        architectures=["LlamaForCausalLM"])
    known = [row["name"] for row in json.loads(bench.run("archs", "--json").stdout)]
    everywhere(bench, llama, ["architecture 'llama', a dense model", "is not one that Mach runs",
                              "'mach archs'", *known])
    mixtral = with_config(bench, "mixtral", model_type="mixtral",
                          text_config={"num_local_experts": 8})
    message = everywhere(bench, mixtral, ["architecture 'mixtral' is not one that Mach runs"])
    assert "dense" not in message, message
    everywhere(bench, with_config(bench, "typeless", model_type=None, text_config={"a": 1}),
               ["there is no 'model_type'"])
    for method, name in (("awq", "AWQ"), ("gptq", "GPTQ"), ("bitsandbytes", "bitsandbytes"),
                         ("compressed-tensors", "compressed-tensors"), ("fp8", "FP8"),
                         ("not-seen-before", "'not-seen-before'")):
        given = with_config(bench, f"by-{method}", quantization=None,
                            quantization_config={"quant_method": method, "bits": 4,
                                                 "group_size": 128})
        everywhere(bench, given, [f"is quantized as {name}", "'quantization_config' in config.json",
                                  "BF16, F16 or F32, or MLX affine 4 and 8 bit"])
    for bits in (2, 3, 5, 6):
        given = with_config(bench, f"mlx-{bits}", quantization={"bits": bits, "group_size": 64})
        everywhere(bench, given, [f"is quantized as MLX affine {bits} bit"])
    print("configs: architectures and quantizations that are not run, by name")


def check_pointers(bench):
    for name in ("config.json", "generation_config.json", "model.safetensors.index.json",
                 "model-00002-of-00002.safetensors", "tokenizer.json", "tokenizer_config.json",
                 "chat_template.jinja"):
        directory = bench.work / "clone"
        shutil.copytree(bench.model, directory)
        (directory / name).write_text(POINTER)
        everywhere(bench, "clone", [f"'clone/{name}' is a pointer of git lfs", "which has 4.66 GiB",
                                    "run 'git lfs pull' in 'clone'"])
        shutil.rmtree(directory)
    sidecar = bench.work / "pointed"
    bench.run("export-sidecar", "mach-tiny", "--output", sidecar)
    for name in ("manifest.json", "index.bin", "layer-003.bin"):
        content = (sidecar / name).read_bytes()
        (sidecar / name).write_text(POINTER)
        for arguments in (["verify", "mach-tiny"], ["serve", "mach-tiny", "--streaming"]):
            assert f"{name}' is a pointer of git lfs" in bench.error(
                *arguments, "--sidecar-dir", sidecar), name
        (sidecar / name).write_bytes(content)
    (bench.work / "pointer").mkdir()
    (bench.work / "pointer/tokenizer.json").write_text(POINTER)
    assert "pointer of git lfs" in bench.error("synth", "made", "--tokenizer", "pointer")
    print("git lfs: pointers are named in every file that is read")


def check_drafter(bench):
    for given, needle in (("mach-tiny", "is a model (Qwen3_5MoeForConditionalGeneration), no "
                                        "drafter; --draft-dir wants"),
                          ("z-lab/Qwen3-30B-A3B-DFlash", "the id of a Hugging Face repository"),
                          ("gguf", "'gguf' holds GGUF"), ("empty", "is an empty directory")):
        for command in (["serve", "mach-tiny", "--no-streaming", "--port", "0"],
                        ["generate", "mach-tiny", "--prompt", "x"]):
            done = bench.run(*command, "--draft-dir", given, code=1)
            assert needle in done.stderr and "loading" not in done.stderr, done.stderr
    print("drafters: a model in the place of one, and other things")


def check_models(bench):
    rows = json.loads(bench.run("models", "--dir", ".", "--json").stdout)
    rows = {row["name"]: row for row in rows}
    assert rows["mach-tiny"]["state"] == "ready", rows
    assert rows["mach-tiny-dflash"]["state"] == "drafter", rows
    for name, needle in (("gguf", "holds GGUF"), ("torch", "PyTorch"), ("llama", "a dense model"),
                         ("by-awq", "AWQ"), ("mlx-3", "MLX affine 3 bit")):
        assert rows[name]["state"] == "unsupported" and needle in rows[name]["detail"], rows[name]
    for name in ("empty", "note.txt", "upper"):
        assert name not in rows, rows[name]
    (found,) = json.loads(bench.run("models", "--dir", "hub", "--json").stdout)
    assert found["name"] == "Qwen/Qwen3-30B-A3B" and found["state"] == "ready", found
    assert found["path"].endswith("snapshots/0a1b"), found
    assert "did you mean 'mach-tiny'?" in bench.error("models", "--dir", "mach-tinny")
    print("models: what is there and not run is listed with its reason")


def advised(message):
    """The command lines of an advice: lines with two spaces in front that begin with the program."""
    return [line.strip() for line in message.splitlines()
            if line.startswith("  ") and "mach" in line.split()[0]]


def check_residency(bench):
    bench.run("check", "mach-tiny")
    plain = bench.run("serve", "mach-tiny", code=2).stderr
    assert plain.startswith("mach serve: give one of --streaming and --no-streaming."), plain
    assert "mach check recommends --no-streaming: all experts fit into memory" in plain, plain
    assert advised(plain) == [f"{bench.mach} serve mach-tiny --no-streaming"], plain

    spaced = bench.work / "it's my model"
    shutil.copytree(bench.model, spaced)
    shutil.copytree(str(bench.model) + "-dflash", str(spaced) + "-dflash")
    flags = ["--port", "0", "--alias", "a b", "--ctx-size=2048", "--request-memory-mb", "1"]
    given = bench.run("serve", spaced.name, *flags, code=2).stderr
    (command,) = advised(given)
    assert shlex.split(command) == [bench.mach, "serve", spaced.name, *flags, "--no-streaming"]
    bench.serves(command)

    # A ceiling that holds a bank only: the sidecar comes first.
    streams = bench.run("serve", spaced.name, *flags, "--wired-gb", "0.04", code=2).stderr
    assert "recommends --streaming: all experts in memory would take" in streams, streams
    assert "The sidecar comes first" in streams, streams
    export, command = advised(streams)
    assert shlex.split(export) == [bench.mach, "export-sidecar", spaced.name], export
    subprocess.run(["sh", "-c", export], cwd=bench.work, check=True, capture_output=True,
                   timeout=60)
    bench.serves(command)
    again = bench.run("serve", spaced.name, *flags, "--wired-gb", "0.04", code=2).stderr
    assert advised(again) == [command], again

    # One that holds nothing: the least that would.
    least = bench.run("serve", spaced.name, *flags, "--wired-gb", "0.01", code=2).stderr
    assert "Nothing fits" in least, least
    bench.serves(advised(least)[-1])
    elsewhere = bench.run("serve", "mach-tiny", "--sidecar-dir", "/none", "--wired-gb", "0.04",
                          "--request-memory-mb", "1", code=2).stderr
    assert "export-sidecar mach-tiny --output /none" in elsewhere, elsewhere
    for code, command in ((1, ["serve", "mach-tiny", "--streaming", "--port", "0"]),
                          (1, ["verify", "mach-tiny"])):
        message = bench.error(*command, "--sidecar-dir", "else where", code=code)
        assert "write it with 'mach export-sidecar mach-tiny --output 'else where''" in message
    subprocess.run([bench.mach, "export-sidecar", "mach-tiny", "--output", "else where"],
                   cwd=bench.work, check=True, capture_output=True, timeout=60)
    bench.serves("mach serve mach-tiny --streaming --port 0 --sidecar-dir 'else where'")

    # generate and eval have all experts in memory unless they are told; where that does not fit,
    # they advise alike.
    (bench.work / "t").write_text("A heron is a bird. " * 20)
    for arguments in (["generate", spaced.name, "--prompt", "What's up?", "--max-tokens", "2",
                       "--wired-gb", "0.04"],
                      ["eval", spaced.name, "--text", "t", "--wired-gb", "0.03"]):
        done = bench.run(*arguments, "--ctx-size", "2048", code=1)
        assert "all experts in memory take" in done.stderr, done.stderr
        assert "recommends --streaming" in done.stderr, done.stderr
        (command,) = advised(done.stderr)
        subprocess.run(["sh", "-c", command], cwd=bench.work, check=True, capture_output=True,
                       timeout=60)
    flagged = bench.run("generate", spaced.name, "--prompt", "x", "--no-streaming", "--wired-gb",
                        "0.04", "--ctx-size", "2048", code=1).stderr
    assert advised(flagged) == [], flagged
    report = json.loads(bench.run("check", "mach-tiny", "--json").stdout)["recommended"]
    assert report["flag"] == "--no-streaming" and report["reason"], report
    assert "recommended     --no-streaming: " in bench.run("check", "mach-tiny").stdout
    print("residency: recommended, as command lines that work")


def check_values(bench):
    def refused(*options):
        message = bench.error("generate", "mach-tiny", "--prompt", "Hello", "--max-tokens", "4",
                              *options)
        assert not re.search(r"\d{7}", message), f"a long number: {message}"
        return message

    bench.run("export-sidecar", "mach-tiny")
    for residency in ("--no-streaming", "--streaming"):
        message = refused(residency, "--wired-gb", "0.01")
        least = number(message, "raise --wired-gb to at least ")
        bench.generates(residency, "--wired-gb", least)
        context = ("--ctx-size", "4096")  # a context that was asked for is kept
        least = number(refused(residency, "--wired-gb", "0.01", *context),
                       "raise --wired-gb to at least ")
        bench.generates(residency, "--wired-gb", least, *context)
        less = f"{float(least) - 0.002:.3f}"
        tokens = number(refused(residency, "--wired-gb", less, *context),
                        "lower --ctx-size to at most ")
        bench.generates(residency, "--wired-gb", less, "--ctx-size", tokens)
        bench.serves(f"mach serve mach-tiny --port 0 {residency} --wired-gb " + number(
            bench.error("serve", "mach-tiny", "--port", "0", residency, "--wired-gb", "0.01"),
            "raise --wired-gb to at least "))
    message = refused("--streaming", "--expert-cache-gb", "0.0005")
    bench.generates("--streaming", "--expert-cache-gb",
                    number(message, "raise --expert-cache-gb to at least "))
    message = refused("--streaming", "--expert-cache-gb", "1", "--wired-gb", "0.05")
    bench.generates("--streaming", "--wired-gb", "0.05", "--expert-cache-gb",
                    number(message, "lower it to at most "))
    bench.generates("--streaming", "--expert-cache-gb", "1", "--wired-gb",
                    number(message, "raise --wired-gb to at least "))
    message = bench.error("serve", "mach-tiny", "--no-streaming", "--port", "0",
                          "--prefix-cache-max-gb", "1", "--wired-gb", "0.45")
    most = number(message, "lower it to at most ")
    least = number(message, "raise --wired-gb to at least ")
    for options in (f"--wired-gb 0.45 --prefix-cache-max-gb {most}",
                    f"--wired-gb {least} --prefix-cache-max-gb 1"):
        bench.serves(f"mach serve mach-tiny --no-streaming --port 0 {options}")
    message = refused("--wired-gb", "900000")
    assert re.search(r"asks for 900000.00 GiB, but [0-9.]+ [GM]iB are free", message), message
    assert "lower it to at most " in message, message
    print("values: what is advised works")


def check_context(bench):
    words = "What is a heron? " * 40

    def refused(*options):
        return bench.error("generate", "mach-tiny", "--prompt", words, *options)

    message = refused("--ctx-size", "64")
    assert "the context holds 64" in message, message
    assert number(message, "restart with --ctx-size up to ") == "8192", message
    bench.generates("--ctx-size", "8192")
    # Under a ceiling that allows less than the model does.
    least = number(refused("--no-streaming", "--ctx-size", "64", "--wired-gb", "0.01"),
                   "raise --wired-gb to at least ")
    tight = ["--no-streaming", "--wired-gb", f"{float(least) + 0.012:.3f}"]
    most = number(refused("--ctx-size", "64", *tight), "restart with --ctx-size up to ")
    assert 64 < int(most) < 8192, most
    bench.generates(*tight, "--ctx-size", most)
    assert "all experts in memory take" in bench.error(
        "generate", "mach-tiny", "--prompt", "x", *tight, "--ctx-size", str(int(most) + 128))
    # A prompt that no context holds.
    (bench.work / "long.json").write_text(json.dumps(
        {"messages": [{"role": "user", "content": "word " * 9000}]}))
    message = bench.error("generate", "mach-tiny", "--messages", "long.json")
    assert "shorten it" in message and "--ctx-size" not in message, message
    for command in (["check"], ["serve", "--no-streaming"], ["generate", "--prompt", "x"]):
        message = bench.error(command[0], "mach-tiny", *command[1:], "--ctx-size", "8193",
                              code=3 if command[0] == "check" else 1)
        assert "--ctx-size is 8193, but the model has 8192 positions; give at most" in message
    print("context: advised only as far as model and memory go")


def check_words(bench):
    for word in ("run", "chat"):
        message = bench.error(word, "mach-tiny", code=2)
        for command in re.findall(r"'(mach [^']*)'", message):
            assert "mach-tiny" in command or command == "mach --help", command
    for arguments in (["-v"], ["-V"], ["--version"], ["version"]):
        assert re.fullmatch(r"mach [0-9.]+\n", bench.run(*arguments).stdout)
    many = bench.run("generate", "mach-tiny", "--prompt", "Hello", "--max-tokens", "2", "--threads",
                     "999")
    cpus = len(os.sched_getaffinity(0))
    found = re.search(r"--threads 999 is more than the (\d+) processor", many.stderr)
    assert found and int(found.group(1)) <= cpus and "slower" in many.stderr, many.stderr
    assert "--jobs 99 is more than" in bench.run("export-sidecar", "mach-tiny", "--jobs",
                                                 "99").stderr
    print("words of other programs, versions, threads")


def check_progress(bench):
    """Piped, standard error has whole lines of one form, or none."""
    line = re.compile(r"writing: (\d+ % of|done,) [0-9.]+ [GMK]iB.*/s(, .* left)?")
    done = bench.run("synth", "made", "--bits", "16", "--layers", "2", "--hidden", "1024",
                     "--experts", "64", "--width", "512", "--vocab", "65536")
    lines = done.stderr.splitlines()
    assert all(line.fullmatch(text) for text in lines) and "\r" not in done.stderr, lines
    assert not lines or lines[-1].startswith("writing: done, "), lines
    assert all(text.startswith("writing: done") == (i == len(lines) - 1)
               for i, text in enumerate(lines)), lines
    shutil.rmtree(bench.work / "made")
    log = bench.run("generate", "mach-tiny", "--prompt", "x", "--max-tokens", "2", "--log-json")
    for text in log.stderr.splitlines():
        if not text.startswith("["):  # the summary of generate
            json.loads(text)
    print("progress: lines where there is no terminal")


def main():
    mach, source = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory).resolve()
        ignore = shutil.ignore_patterns("expert_sidecar*")
        model = work / "mach-tiny"
        shutil.copytree(source / "models/mach-tiny", model, ignore=ignore)
        shutil.copytree(source / "models/mach-tiny-dflash", work / "mach-tiny-dflash")
        bench = Bench(mach, model, work)
        check_other_things(bench)
        check_configs(bench)
        check_pointers(bench)
        check_drafter(bench)
        check_models(bench)
        check_residency(bench)
        check_values(bench)
        check_context(bench)
        check_words(bench)
        check_progress(bench)


main()
