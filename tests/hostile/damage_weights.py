"""What damages weights: headers of safetensors, their index, and the numbers themselves; kinds as
in damage.py. And fields of config.json that a good one lacks."""
import json
import struct

import odd_values
from damage import change, odd
from odd_values import Raw

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
SIZES = {"F32": 4, "BF16": 2, "F16": 2, "U32": 4}
# Little-endian bytes of what is not finite, NaN first.
NOT_FINITE = {"F32": [b"\x00\x00\xc0\x7f", b"\x01\x00\x80\x7f", b"\x00\x00\x80\x7f",
                      b"\x00\x00\x80\xff"],
              "BF16": [b"\xc0\x7f", b"\x81\xff", b"\x80\x7f", b"\x80\xff"],
              "F16": [b"\x00\x7e", b"\x01\xfc", b"\x00\x7c", b"\x00\xfc"]}
NANS = 2  # how many of them
# Where every token meets each element, whatever the names' endings (weight, scales, biases).
ALWAYS = ("input_layernorm", "post_attention_layernorm", "model.norm", "self_attn.q_norm",
          "self_attn.o_proj", "self_attn.v_proj", "linear_attn.out_proj")
# Where it meets NaN; an infinity may saturate a sigmoid, or be a decay of 0.
ALWAYS_NAN = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.k_norm", "linear_attn.in_proj_qkv",
              "linear_attn.in_proj_z", "linear_attn.in_proj_a", "linear_attn.in_proj_b",
              "linear_attn.conv1d", "linear_attn.norm", "linear_attn.A_log", "linear_attn.dt_bias",
              "mlp.gate", "mlp.shared_expert_gate", "mlp.shared_expert.gate_proj",
              "mlp.shared_expert.up_proj", "mlp.shared_expert.down_proj", "lm_head")


def _parts(copy):
    data = copy.read(WEIGHTS)
    if len(data) < 8:
        return None, b""
    size = struct.unpack("<Q", data[:8])[0]
    try:
        return json.loads(data[8:8 + size]), data[8 + size:]
    except (ValueError, RecursionError):
        return None, b""


def _write(copy, header, body, pad=b""):
    text = odd_values.dump(header).encode("utf-8", "surrogatepass") + pad
    copy.write(WEIGHTS, struct.pack("<Q", len(text)) + text + body)


def header(random, copy):
    """One member of one tensor's entry."""
    found, body = _parts(copy)
    if found is None:
        return ""
    names = sorted(name for name in found if name != "__metadata__")
    name = random.choice(names)
    entry = found[name]
    kind = random.randrange(14)
    begin, end = entry["data_offsets"]
    shape = entry["shape"]
    said = f"kind {kind}"
    if kind == 0:
        entry["dtype"] = random.choice(["F32", "F16", "BF16", "U32", "F64", "I8", "BOOL",
                                        "F8_E4M3", "X", "", "f32"])
    elif kind == 1:
        entry["shape"] = random.choice([shape[::-1], shape + [1], [1] + shape, shape[:-1], [],
                                        [0] + shape[1:],
                                        [end - begin], [1 << 32, 1 << 32], [1 << 63, 2],
                                        [(1 << 64) + shape[0]] + shape[1:],
                                        [1 << 31] * 4, [-1] + shape[1:],
                                        [Raw(f"{shape[0]}.0")] + shape[1:], [0, 1 << 62]])
    elif kind == 2:
        entry["data_offsets"] = random.choice([[end, begin], [begin, begin], [begin + 1, end + 1],
                                               [0, end - begin], [begin, end + 4],
                                               [begin - 4, end - 4], [begin, len(body) + 1],
                                               [1 << 63, (1 << 63) + end - begin], [begin],
                                               [(1 << 64) - 4, end - begin - 4], [begin, end, end],
                                               [Raw("-4"), end], [Raw(f"{begin}.0"), end]])
    elif kind == 3:
        entry[random.choice(["dtype", "shape", "data_offsets"])] = odd(random)
    elif kind == 4:
        del entry[random.choice(["dtype", "shape", "data_offsets"])]
    elif kind == 5:
        del found[name]
    elif kind == 6:
        found[random.choice([name + "x", name.replace("layers.0", "layers.00"), name.upper(),
                             "x" * 5000, ""])] = found.pop(name)
    elif kind == 7:
        found = tuple([*found.items(), (name, dict(entry))])
    elif kind == 8:
        other = random.choice(names)
        found[name], found[other] = found[other], found[name]
        said += f" with {other}"
    elif kind == 9:
        found["__metadata__"] = odd(random)
    elif kind == 10:
        found[name] = odd(random)
    elif kind == 11:
        entry["more"] = odd(random)
    elif kind == 12:
        found["extra"] = {"dtype": "F32", "shape": [1], "data_offsets": random.choice([[0, 4],
            [len(body), len(body) + 4]])}
    else:
        said = change(random, found)
    _write(copy, found, body, random.choice([b"", b"", b" " * 7, b"\x00"]))
    return f"header: {name}: {said}"


def layout(random, copy):
    """The length in front, cuts, and bytes that are too many."""
    data = bytearray(copy.read(WEIGHTS))
    if len(data) < 16:
        return ""
    size = min(struct.unpack("<Q", data[:8])[0], len(data) - 8)
    kind = random.randrange(7)
    if kind == 0:
        length = random.choice([0, 1, 2, size - 1, size + 1, len(data), 1 << 20, 1 << 31, 1 << 32,
                                1 << 63, (1 << 64) - 1, (1 << 64) - 8])
        data[:8] = struct.pack("<Q", length)
        said = f"length {length}"
    elif kind == 1:
        cut = random.choice([random.randrange(len(data)), random.randrange(16), 8 + size,
                             len(data) - 1])
        del data[cut:]
        said = f"cut at {cut}"
    elif kind == 2:
        more = random.choice([1, 4, 5000])
        data += bytes(more)
        said = f"{more} bytes more"
    elif kind in (3, 4):
        at = random.randrange(8 + size)
        data[at] ^= 1 << random.randrange(8)
        said = f"a bit at {at}"
    elif kind == 5:
        at = 8 + random.randrange(size)
        data[at:at] = random.choice([b"\x00", b"\xff", b" ", b"[" * 100000])
        said = f"bytes at {at}"
    else:
        data[8:8 + size] = random.choice([b"", b"{}", b"[]", b"null", b"[" * size, b" " * size,
                                          b"\x00" * size])
        said = "another header"
    copy.write(WEIGHTS, bytes(data))
    return f"layout: {said}"


def index(random, copy):
    found = copy.document(INDEX) if INDEX in copy.files() else {"metadata": {}, "weight_map": {
        name: WEIGHTS for name in (_parts(copy)[0] or {}) if name != "__metadata__"}}
    if not isinstance(found, dict) or not found.get("weight_map"):
        return ""
    names = sorted(found["weight_map"])
    name = random.choice(names)
    kind = random.randrange(7)
    if kind == 0:
        found["weight_map"][name] = random.choice(["../" + WEIGHTS, "/etc/passwd",
                                                   "nothing.safetensors", "", ".", "config.json",
                                                   "x" * 5000,
                                                   "a\x00b", "./" + WEIGHTS, WEIGHTS.upper(),
                                                   "../" * 50 + "dev/zero"])
    elif kind == 1:
        found["weight_map"][name] = odd(random)
    elif kind == 2:
        del found["weight_map"][name]
    elif kind == 3:
        found["weight_map"] = odd(random)
    elif kind == 4:
        found["weight_map"][random.choice(["nothing", "", "x" * 5000])] = WEIGHTS
    elif kind == 5:
        found["weight_map"] = {name: "nothing.safetensors" for name in names}
    else:
        change(random, found)
    copy.write(INDEX, odd_values.dump(found))
    return f"index: {name}: kind {kind}"


def _module(name):
    for ending in (".weight", ".scales", ".biases"):
        name = name.removesuffix(ending)
    return name


def numbers(random, copy):
    """A weight that is not finite, or any bits."""
    found, body = _parts(copy)
    if found is None:
        return ""
    names = sorted(name for name, entry in found.items() if isinstance(entry, dict)
                   and entry.get("dtype") in NOT_FINITE)
    always = [name for name in names if _module(name).endswith(ALWAYS + ALWAYS_NAN)]
    poison = random.random() < 0.7 and always
    name = random.choice(always if poison else names)
    entry = found[name]
    size = SIZES[entry["dtype"]]
    begin, end = entry["data_offsets"]
    body = bytearray(body)
    if end > len(body) or end - begin < size:
        return ""
    at = begin + size * random.randrange((end - begin) // size)
    bits = random.choice(NOT_FINITE[entry["dtype"]])
    if poison and _module(name).endswith(ALWAYS_NAN):
        bits = random.choice(NOT_FINITE[entry["dtype"]][:NANS])
    if not poison and random.random() < 0.5:
        bits = bytes(random.randrange(256) for _ in range(size))
    body[at:at + size] = bits
    copy.poisoned |= bool(poison)
    copy.odd_numbers = True
    _write(copy, found, bytes(body))
    return f"numbers: {name} at {at}: {bits.hex()}"


# Members that config.json may have and the good ones lack, or say otherwise: mostly what asks for
# something that is not implemented.
MORE = [("attention_bias", "true"), ("use_sliding_window", "true"), ("sliding_window", "128"),
        ("hidden_act", "\"gelu\""),
        ("norm_topk_prob", "false"), ("norm_topk_prob", "\"false\""), ("norm_topk_prob", "1"),
        ("decoder_sparse_step", "2"),
        ("decoder_sparse_step", "0"), ("mlp_only_layers", "[0]"), ("mlp_only_layers", "[\"0\"]"),
        ("mlp_only_layers", "0"),
        ("tie_word_embeddings", "true"), ("tie_word_embeddings", "\"true\""), ("attn_output_gate",
            "false"), ("output_gate_type", "\"sigmoid\""),
        ("rope_scaling", "{\"type\":\"yarn\",\"factor\":4.0}"), ("rope_scaling",
            "{\"rope_type\":\"linear\",\"factor\":2}"),
        ("rope_scaling", "\"linear\""), ("rope_scaling", "[]"), ("rope_scaling", "{\"type\":1}"),
        ("rope_theta", "\"10000\""), ("rope_theta", "0"),
        ("rope_parameters", "{\"rope_type\":\"yarn\",\"rope_theta\":10000.0,\"factor\":4}"),
        ("rope_parameters", "[]"), ("rope_parameters", "\"x\""),
        ("rope_parameters",
         "{\"full_attention\":{\"rope_type\":\"default\",\"rope_theta\":10000.0}}"),
         ("partial_rotary_factor", "\"0.5\""),
        ("full_attention_interval", "0"), ("full_attention_interval", "\"4\""),
        ("full_attention_interval", "2.5"), ("layer_types", "[\"sliding_attention\"]"),
        ("eos_token_id", "-1"), ("eos_token_id", "\"1\""), ("eos_token_id", "[1,\"2\"]"),
        ("eos_token_id", "1.5"), ("eos_token_id", "1e308"), ("eos_token_id", "[]"),
        ("eos_token_id", "{}"), ("eos_token_id", "9223372036854775808"), ("num_experts",
            "1000000000000"), ("num_hidden_layers", "1000000"),
        ("max_position_embeddings", "1e18"), ("max_position_embeddings", "\"512\""), ("vocab_size",
            "1099511627776"), ("num_experts_per_tok", "1000"),
        ("mamba_ssm_dtype", "\"bfloat16\""), ("quantization",
                                              "{\"group_size\":\"64\",\"bits\":4}"),
                                              ("quantization", "{\"group_size\":0,\"bits\":4}"),
        ("quantization", "{\"group_size\":64,\"bits\":3}"), ("quantization", "[]"),
        ("quantization", "{\"group_size\":64,\"bits\":4,\"mode\":\"mxfp4\"}"),
        ("quantization_config", "{\"quant_method\":\"awq\",\"bits\":4}"), ("quantization_config",
            "{\"quant_method\":\"fp8\"}"), ("text_config", "{}"),
        ("text_config", "[]"), ("text_config", "1"), ("dtype", "1"), ("model_type", "\"llama\""),
        ("architectures", "[\"LlamaForCausalLM\"]"),
        ("architectures", "[]"), ("architectures", "\"Qwen3MoeForCausalLM\""),
        ("num_local_experts", "3"), ("head_dim", "null"), ("rms_norm_eps", "null"),
        ("rms_norm_eps", "0"), ("rms_norm_eps", "\"1e-6\""), ("rms_norm_eps", "-1e-6"),
        ("rms_norm_eps", "NaN"), ("rms_norm_eps", "1e308")]


def more_config(random, copy):
    document = copy.document("config.json")
    if not isinstance(document, dict):
        return ""
    name, value = random.choice(MORE)
    where = document
    if isinstance(document.get("text_config"), dict) and name not in ("text_config",
        "quantization", "quantization_config"):
        where = random.choice([document, document["text_config"]])
    where[name] = Raw(value)
    copy.write("config.json", odd_values.dump(document))
    return f"config.json: {name} = {value}"


KINDS = [(12, header), (6, layout), (4, index), (6, numbers), (8, more_config)]
