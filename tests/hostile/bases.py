"""Small checkpoints to damage: two of published layouts, two quantized ones of `mach synth`."""
import json
import pathlib
import shutil
import subprocess

SMALL = ["--hidden", "64", "--layers", "3", "--experts", "4", "--top-k", "2", "--width", "64",
         "--heads", "2",
         "--kv-heads", "1", "--head-dim", "32", "--vocab", "256", "--context", "512", "--shard-mb",
         "1"]
SPECIAL = ["<|endoftext|>", "<|im_end|>", "<|im_start|>"]
GENERATION = {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "top_k": 20, "min_p": 0.0,
              "repetition_penalty": 1.0, "eos_token_id": [1, 0], "pad_token_id": 0}
SPLIT = ("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
         "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")


def byte_letters():
    """GPT-2's letter of each byte that UTF-8 has."""
    plain = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    letters = {byte: chr(byte) for byte in plain}
    for byte in range(256):
        if byte not in letters:
            letters[byte] = chr(256 + sum(other not in plain for other in range(byte)))
    never = {0xc0, 0xc1, *range(0xf5, 0x100)}
    return [letters[byte] for byte in range(256) if byte not in never]


def tokenizer():
    """Byte-level BPE of 256 tokens, of the shape that published ones have."""
    words = SPECIAL + byte_letters()
    merges = [["h", "e"], ["l", "l"], ["he", "ll"], ["hell", "o"], ["t", "h"], ["i", "n"],
              ["\u0120", "t"]]
    words += ["".join(pair) for pair in merges]
    words = words[:256]
    added = [{"id": number, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True} for number, text in enumerate(SPECIAL)]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False,
             "use_regex": False}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated",
             "invert": False}, level]},
        "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A",
            "type_id": 0}}],
                           "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                                    {"Sequence": {"id": "B", "type_id": 1}}],
                           "special_tokens": {}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                    "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": False,
                  "vocab": {word: number for number, word in enumerate(words)}, "merges": merges}}


def _text_files(source, directory):
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer(), ensure_ascii=False))
    config = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "model_max_length": 1024,
              "bos_token": None,
              "tokenizer_class": "TokenizersBackend", "clean_up_tokenization_spaces": False}
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    (directory / "generation_config.json").write_text(json.dumps(GENERATION))
    shutil.copy(source / "models/mach-tiny/chat_template.jinja", directory)


def make(mach, source, work):
    """Directories by name."""
    made = {}
    for name in ("qwen3_5_moe", "qwen3_moe"):
        directory = pathlib.Path(work) / f"{name}_f32"
        directory.mkdir()
        for file in ("config.json", "model.safetensors"):
            shutil.copyfile(source / "tests/goldens" / name / "hub" / file, directory / file)
        _text_files(source, directory)
        made[directory.name] = directory
        directory = pathlib.Path(work) / f"{name}_q{4 if name == 'qwen3_moe' else 8}"
        more = ["--linear-key-heads", "1", "--linear-value-heads", "2", "--linear-head-dim", "32",
                "--shared-width", "64",
                "--attention-interval", "3"] if name == "qwen3_5_moe" else []
        subprocess.run([mach, "synth", directory, "--family", name, "--bits", directory.name[-1],
                        *SMALL, *more],
                       check=True, stdout=subprocess.DEVNULL)
        _text_files(source, directory)
        made[directory.name] = directory
    return made
