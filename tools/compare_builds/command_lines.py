"""Command lines that both builds run, from a folder with models in it."""
import dataclasses
import json
import re

from settings import BOUND, DENSE, KEYS, TINY

CONVERSATION = {"messages": [{"role": "user", "content": "Wake me in 77 minutes."}],
                "tools": [{"type": "function", "function": {
                    "name": "set_timer", "parameters": {
                        "type": "object", "properties": {"minutes": {"type": "integer"}}}}}]}
POINTER = ("version https://git-lfs.github.com/spec/v1\n"
           "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
           "size 4998530000\n")
# What prepare() makes that is no model, and models that are wanted where they are not.
STRANGERS = [
    "nowhere", "Qwen/Qwen3-30B-A3B", "mach-tinny", "qwen3:30b", "empty", "gguf",
    "gguf/model-q4.gguf", "torch", "llama", "pointer", "typeless", "cut", "hub", "hub/models--A--B",
    "models", "ids.json", f"{TINY}/config.json", f"{TINY}-dflash",
    f"{TINY}/model-00001-of-00002.safetensors"]
# Of options: wrong for some, or lead to an error soon, since the model is nowhere.
VALUES = ["x", "-1", "", "1", "1.5", "99999999999999999999"]


@dataclasses.dataclass
class Line:
    arguments: list
    given: str = ""       # standard input
    environment: dict = dataclasses.field(default_factory=dict)
    writes: str = ""      # a folder that is compared afterwards
    program: str = "mach"

    def what(self):
        before = [f"{name}={value}" for name, value in self.environment.items()]
        behind = [f"< {self.given!r}"] if self.given else []
        words = [word or "''" for word in self.arguments]
        return " ".join([*before, self.program, *words, *behind])


def _lines(text, **members):
    """One of each line of a text."""
    return [Line(line.split(), **members) for line in text.strip().splitlines()]


def prepare(folder):
    """Things that are no models, and files that commands read."""
    def made(name):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    made("ids.json").write_text(json.dumps([(7 * i) % 8000 for i in range(90)]))
    made("bad_ids.json").write_text("[1, 2, 99999]")
    made("text.txt").write_text("A heron is a bird that waits beside the water.\n" * 8)
    made("messages.json").write_text(json.dumps(CONVERSATION))
    made("array.json").write_text("[]")
    made(KEYS).write_text("# comment\n right \n")
    made(KEYS).chmod(0o600)
    made("open_keys").write_text("right\n")
    made("open_keys").chmod(0o644)
    made("empty/x")
    made("gguf/model-q4.gguf").write_bytes(b"GGUF" + bytes(100))
    made("torch/config.json").write_text('{"model_type": "qwen3_moe"}')
    made("torch/pytorch_model.bin").write_bytes(b"PK")
    made("llama/config.json").write_text('{"model_type": "llama"}')
    made("pointer/config.json").write_text(POINTER)
    made("typeless/config.json").write_text("{}")
    made("cut/config.json").write_text("{\"a\":")
    made("hub/models--A--B/snapshots/x").mkdir(parents=True)


def informing(commands):
    lines = [Line([]), Line(["--help"], program="mach-serve"),
             Line(["--help"], program="mach-generate"), *_lines("""
        --help\n -h\n help\n --version\n version\n -v\n -V\n help --examples\n man\n man none
        completion bash\n completion zsh\n completion fish\n completion
        bench\n bench --help\n bench none\n help bench\n help bench disk\n help none
        archs\n archs --json\n models\n models --json\n models --dir .\n models --dir . --json
        models --dir empty\n models --dir nowhere\n models --dir hub\n models --dir gguf
        selftest\n selftest --isa scalar\n selftest --isa avx2\n selftest --isa neon
        selftest --file ids.json\n selftest --file nowhere\n selftest --file /proc/self/status""")]
    for command in commands:
        lines += _lines(f"{command} --help\n help {command}\n man {command}\n {command} --version")
    return lines


def checking():
    lines = _lines(f"check {TINY}\n check {TINY} --json\n check {TINY}-dflash\n verify {TINY}\n"
                   f"verify {TINY} --all\n verify {DENSE} --all")
    for more in ("", "--ctx-size 512", "--target-only", "--compute f32", "--chunk 32",
                 "--draft-bits 4", "--draft-bits stored", "--request-memory-mb 1",
                 "--sidecar-dir nowhere", "--sidecar-dir sidecar", "--allow-diagnostic-fallback",
                 "--draft-dir nowhere", f"--draft-dir {TINY}"):
        lines += _lines(f"check {TINY} {BOUND} {more}\n check {TINY} {BOUND} {more} --json")
    for size in (0.001, 0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.3, 0.31, 0.32):
        line = f"check {TINY} --threads 2 --wired-gb {size}"
        lines += _lines(f"{line}\n {line} --json\n {line} --request-memory-mb 1")
    return lines + _lines(f"check {DENSE} {BOUND}\n check {DENSE} {BOUND} --json")


def strangers():
    """Every command that takes a model, with what is none."""
    lines = []
    for name in STRANGERS:
        lines += _lines(f"""
            serve {name} --no-streaming --port 0\n serve {name}\n check {name}\n verify {name}
            generate {name} --prompt x\n eval {name} --text text.txt\n export-sidecar {name}""")
    return lines


def writing():
    """Files are compared byte by byte."""
    small = ("--layers 2 --hidden 64 --experts 4 --top-k 2 --width 64 --heads 2 --kv-heads 1 "
             "--head-dim 32 --vocab 8192")
    files = "--logits eval/logits --hidden eval/hidden --experts eval/experts"
    lines = _lines(f"export-sidecar {TINY}", writes=f"{TINY}/expert_sidecar")
    for more in ("--jobs 1", "", "--bits 8", "--num-experts 47"):
        lines += _lines(f"export-sidecar {TINY} --output sidecar {more}", writes="sidecar")
    for bits in ("4", "8", "16", "keep"):
        lines += _lines(f"export-sidecar {DENSE} --bits {bits} --output sidecar{bits}",
                        writes=f"sidecar{bits}")
    for number, more in enumerate((
            "--bits 4", "--bits 8 --seed 5", "--bits 16 --family qwen3_moe --shard-mb 1",
            f"--tokenizer {TINY}")):
        lines += _lines(f"synth made{number} {small} {more}", writes=f"made{number}")
    for model in (TINY, DENSE):
        lines += _lines(f"""
            eval {model} {BOUND} --ids ids.json {files}
            eval {model} {BOUND} --ids ids.json {files} --compute f32 --chunk 7""", writes="eval")
    return lines + _lines(f"""
        verify made0 --all\n verify {TINY} --sidecar-dir sidecar8\n synth made0 {small}
        synth made9 --top-k 9\n synth made9 --family qwen3_moe --shared-width 64
        synth made9 --tokenizer nowhere\n synth made9 --vocab 100 --tokenizer {TINY}""")


def generating():
    line = f"generate {TINY} {BOUND} --max-tokens 24 --seed 3"
    lines = [Line([*f"{line} {more}".split(), "--prompt", "What is a heron?"]) for more in (
        "--temperature 0", "--json", "--temperature 0 --json", "--raw", "--compute f32",
        "--temperature 1.2 --top-k 9 --min-p 0.01", "--system Brief.", "--isa avx2", "--chunk 3",
        "--ctx-size 64", "--target-only", "--repetition-penalty 1.4",
        "--presence-penalty 1 --frequency-penalty -1", "--no-streaming", "--log-level debug",
        "--streaming --expert-cache-gb 0.011", "--streaming --expert-cache-gb 0.004 --eviction lru",
        "--streaming --direct-pread pread --decode-residency pin-hot",
        "--streaming --direct-pread off", "--draft-bits stored",
        "--streaming --sidecar-dir nowhere --allow-diagnostic-fallback",
        "--serving-adaptive-block-policy fixed-16", "--ctx-size 2", "--draft-dir nowhere",
        "--streaming --sidecar-dir nowhere", "--streaming --expert-cache-gb 0.0001",
        "--bf16-streaming", "--bf16-streaming --streaming")]
    lines += [Line([*line.split(), "--messages", "-"], given=text) for text in (
        json.dumps(CONVERSATION), "", "{}", "[", "{\"messages\": 1}")]
    dense, scored = f"generate {DENSE} {BOUND} --max-tokens 8 --seed 3", f"eval {TINY} {BOUND}"
    return [*lines, Line([*line.split(), "--prompt", ""]), *_lines(f"""
        {line}\n {line} --messages messages.json\n {line} --messages messages.json --json
        {line} --messages array.json\n {line} --messages nowhere
        generate {TINY} --threads 2 --wired-gb 0.02 --prompt x
        generate {TINY} {BOUND} --isa scalar --raw --prompt x --max-tokens 2 --seed 3
        {dense} --prompt a\n {dense} --prompt a --streaming --bf16-streaming
        {dense} --prompt a --streaming --sidecar-dir sidecar4
        {scored}\n {scored} --text text.txt\n {scored} --text text.txt --ctx-size 32
        {scored} --text text.txt --streaming --expert-cache-gb 0.011\n {scored} --text nowhere
        {scored} --ids array.json\n {scored} --ids bad_ids.json\n {scored} --ids messages.json
        {scored} --ids ids.json --logits nowhere/x""")]


def mistaken():
    serve = f"serve {TINY} --port 0"
    return [Line([], program="mach-serve"), Line(["check"], program="mach-nonsense"), *_lines(f"""
        nonsense\n sevre\n --nonsense\n run Qwen/Qwen3-30B-A3B\n pull a/b\n -m {TINY}\n {TINY}
        perplexity\n serve --model {TINY}\n {serve} --prot 1\n generate {TINY} hello
        generate {TINY} -p x -n 5\n eval {TINY} text.txt\n serve {TINY} -ngl 99 -c 5 --jinja
        {serve} --streaming --no-streaming\n {serve} --streaming=1 --no-streaming=1
        {serve} --no-streaming --host 0.0.0.0\n {serve} --streaming --sidecar-dir nowhere
        {serve} --no-streaming --api-key-file nowhere\n {serve} --no-streaming --host nowhere.test
        {serve} --no-streaming --api-key-file open_keys
        {serve} --no-streaming --api-key-file array.json
        {serve} --no-streaming --disk-kv-dir ids.json\n {serve} --no-streaming --wired-gb 0.02
        {serve} --streaming --direct-pread off\n {serve} --wired-gb 1\n {serve} --wired-gb 0.05
        {serve} --no-streaming --prefix-cache --no-prefix-cache
        {serve} --no-streaming --draft-dir {TINY}
        probe --url x\n probe --url http://127.0.0.1:9/v1\n probe --api-key-file nowhere
        check {TINY} {TINY}\n check {TINY} -- --json\n check --json=x {TINY}
        bench trace nowhere\n bench trace x --record {TINY}\n bench streaming nowhere
        bench disk --dir nowhere""")]


def each_option(helps):
    """helps: {command: its help}. Each option without a value, twice, misspelt and with odd values;
    variables of the environment likewise. What several commands have is tried with the first."""
    lines, seen = [], set()
    tails = {"probe": ["--url", "http://127.0.0.1:9"], "bench-disk": ["--dir", "nowhere"],
             "models": ["--dir", "nowhere"], "archs": [], "selftest": [],
             "serve": ["--port", "0", "nowhere"], "synth": ["ids.json"]}
    for command, text in helps.items():
        if command == "bench-matmul":  # wants nothing that could be missing: it would measure
            continue
        for option, value in re.findall(r"(?m)^  (--[a-z0-9-]+)( [A-Z0-9|]+)?", text):
            tail = tails.get(command, ["nowhere"])
            if option in ("--help", "--version"):
                continue
            if option in tail:
                tail = tail[2:]
            wrong = [[f"{option}={one}"] for one in VALUES] + [[option, option], [option + "x"]]
            wrong = wrong[:2] if (option, value) in seen else wrong
            seen.add((option, value))
            lines += [Line([command, *tail, *words]) for words in wrong]
            if value:
                lines.append(Line([command, *tail, option]))
        for name in sorted(set(re.findall(r"\b(?:LME|MACH|MANIAC)_[A-Z0-9_]+", text)) - seen):
            lines += [Line([command, "nowhere"], environment={name: one}) for one in VALUES]
            seen.add(name)
    both = {"LME_ALLOW_DIAGNOSTIC_FALLBACK": "1", "LME_ALLOW_DIAGNOSTIC_PYTHON_FALLBACK": "0"}
    return lines + [Line(["serve", "nowhere", "--no-streaming"], environment=environment)
                    for environment in (both, {"LME_CONTINUOUS_BATCHING": "1"},
                                        {"LME_CONTINUOUS_BATCHING_MAX_B": "4"}, {"LME_NONE": "1"})]
