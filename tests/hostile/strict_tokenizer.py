"""A second, strict reader of tokenizer.json and tokenizer_config.json: the types and ids that every
reader needs. What a normalizer, pre-tokenizer or decoder means is not looked at."""
from strict_config import Wrong, number, read

PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


def need(condition, what):
    if not condition:
        raise Wrong(f"tokenizer.json: {what}")


def _id(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31


def check_tokenizer(path, vocabulary):
    """The parts that are not looked at, and what readers may refuse."""
    found = read(path)
    model = found.get("model")
    need(isinstance(model, dict) and model.get("type") in (None, "BPE"), f"model {str(model)[:60]}")
    words = model.get("vocab")
    need(isinstance(words, dict) and words, "no vocab")
    need(all(_id(number) for number in words.values()), "an id out of range")
    need(len(set(words.values())) == len(words), "an id twice")
    merges = model.get("merges")
    need(isinstance(merges, list), "no merges")
    for merge in merges:
        pair = merge.split(" ") if isinstance(merge, str) else merge
        need(isinstance(pair, list) and len(pair) == 2, f"merge {str(merge)[:60]}")
        need(all(isinstance(one, str) for one in pair), f"merge {str(merge)[:60]}")
        need(pair[0] in words and pair[1] in words and "".join(pair) in words,
             f"merge {str(merge)[:60]}")
    for name in ("fuse_unk", "byte_fallback", "ignore_merges"):
        need(model.get(name) is None or isinstance(model[name], bool), name)
    dropout = model.get("dropout")
    need(dropout is None or number(dropout) and 0 <= dropout <= 1, "dropout")
    for name in ("unk_token", "continuing_subword_prefix", "end_of_word_suffix"):
        need(model.get(name) is None or isinstance(model[name], str), name)
    added = found.get("added_tokens")
    need(added is None or isinstance(added, list), "added_tokens")
    for token in added or []:
        need(isinstance(token, dict) and isinstance(token.get("content"), str),
             f"added token {str(token)[:60]}")
        need(_id(token.get("id")), f"added token {str(token)[:60]}")
        need(all(token.get(flag) is None or isinstance(token[flag], bool) for flag in FLAGS),
             f"added token {str(token)[:60]}")
    for name in PARTS:
        part = found.get(name)
        need(part is None or isinstance(part, dict) and isinstance(part.get("type"), str), name)
    parts = {name: found.get(name) for name in PARTS}
    ids = [*words.values(), *(token["id"] for token in added or [])]
    parts["beyond the model"] = max(ids) >= vocabulary or None
    parts["dropout"] = dropout or None
    parts["long tokens"] = any(len(token["content"]) > 1000 for token in added or []) or None
    return parts


def check_tokenizer_config(path):
    if not path.exists():
        return
    found = read(path)
    for name in ("eos_token", "bos_token", "pad_token", "unk_token"):
        token = found.get(name)
        if isinstance(token, dict):
            token = token.get("content", 0)
        if token is not None and not isinstance(token, str):
            raise Wrong(f"tokenizer_config.json: {name} is {str(token)[:60]}")
    template = found.get("chat_template")
    if path.with_name("chat_template.jinja").exists():
        return  # which wins
    if template is not None and not isinstance(template, (str, list, dict)):
        raise Wrong(f"tokenizer_config.json: chat_template is {str(template)[:60]}")
