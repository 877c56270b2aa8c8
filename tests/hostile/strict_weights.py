"""A second, strict reader of safetensors and their index: the format's rules, and the tensors that
a config asks for, by the published layouts. It knows no source of Mach."""
import json
import math
import struct

from strict_config import Wrong, read

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2,
         "U16": 2, "I8": 1, "U8": 1,
         "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1}
FLOATS = ("F32", "F16", "BF16")
PREFIXES = ("model.language_model.", "language_model.model.", "language_model.", "model.", "")


def _unique(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _number(text):
    if not math.isfinite(float(text)):
        raise ValueError(f"{text} is no number")
    return float(text)


def _count(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def headers(path):
    """name to (dtype, shape) of one file."""
    try:
        if not path.is_file():
            raise Wrong(f"{path.name} is no file")
        size = path.stat().st_size
        with open(path, "rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if length > min(size - 8, 100 << 20):
                raise Wrong(f"{path.name}: a header of {length} bytes")
            text = file.read(length)
        if not text.startswith(b"{"):
            raise Wrong(f"{path.name}: the header begins with {text[:1]!r}")
        found = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_number,
                           parse_float=_number)
    except (OSError, ValueError, RecursionError, struct.error) as error:
        raise Wrong(f"{path.name}: {error}") from None
    if not isinstance(found.pop("__metadata__", {}), dict):
        raise Wrong(f"{path.name}: __metadata__ is no object")
    tensors, spans = {}, []
    for name, entry in found.items():
        if not isinstance(entry, dict):
            raise Wrong(f"{name} is {entry!r}")
        kind, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
        if str(kind) not in SIZES or not isinstance(shape, list) or not all(map(_count, shape)):
            raise Wrong(f"{name}: {kind} {shape}")
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_count, offsets)):
            raise Wrong(f"{name}: offsets {offsets}")
        bytes_of = math.prod(shape) * SIZES[kind]
        if offsets[1] - offsets[0] != bytes_of or offsets[1] > size - 8 - length:
            raise Wrong(f"{name}: offsets {offsets} for {kind} {shape}")
        tensors[name] = (kind, shape)
        spans.append(tuple(offsets))
    end = 0
    for begin, stop in sorted(spans):
        if begin != end:
            raise Wrong(f"{path.name}: a hole or an overlap at {begin}")
        end = stop
    if end != size - 8 - length:
        raise Wrong(f"{path.name}: {size - 8 - length - end} bytes of no tensor")
    return tensors


def tensors(directory):
    """name to (dtype, shape) of a checkpoint."""
    index = directory / "model.safetensors.index.json"
    if not index.exists():
        return headers(directory / "model.safetensors")
    found = {}
    places = read(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise Wrong("no weight_map")
    for name, place in places.items():
        if not isinstance(place, str) or "/" in place or "\x00" in place or not place:
            raise Wrong(f"{name} is in {str(place)[:50]!r}")
    files = {place: headers(directory / place) for place in sorted(set(places.values()))}
    for name, place in places.items():
        if name not in files[place]:
            raise Wrong(f"{name} is not in {place}")
    # Readers take all tensors of a file, whether the index names them or not.
    for more in files.values():
        found |= more
    return found


class Weights:
    """Holds the tensors of a checkpoint to a config."""

    def __init__(self, config, found):
        config.open |= config.unquantized is not None
        self.config, self.found = config, found
        sizes = config.sizes
        self.hidden = sizes["hidden_size"]
        self.matrix("embed_tokens", sizes["vocab_size"], self.hidden)
        self.vector("norm.weight", self.hidden)
        if not config.tied and self.name("lm_head.weight", ()) is None:
            raise Wrong("no lm_head")
        if not config.tied:
            self.matrix("lm_head", sizes["vocab_size"], self.hidden)
        for layer in range(sizes["num_hidden_layers"]):
            self._layer(f"layers.{layer}.", layer)

    def name(self, name, need=True):
        for prefix in PREFIXES:
            if prefix + name in self.found:
                return prefix + name
        if need:
            raise Wrong(f"no {name}")
        return None

    def tensor(self, name, shape, kinds=FLOATS):
        full = self.name(name)
        kind, found = self.found[full]
        if kind not in kinds or found != list(shape):
            raise Wrong(f"{full} is {kind} {found}, not {list(shape)}")

    def vector(self, name, size):
        self.tensor(name, [size])

    def matrix(self, module, *shape):
        weight = module + ".weight"
        if self.name(module + ".scales", False) is None:
            return self.tensor(weight, shape)
        if self.config.unquantized:
            raise self.config.unquantized
        full = self.name(weight).removesuffix(".weight")
        modules = self.config.quantization
        group, bits = modules.get(full) or modules.get("") or (None, None)
        if group is None:
            raise Wrong(f"{full} has scales, and the config no quantization")
        if shape[-1] % group:
            raise Wrong(f"{full}: {shape[-1]} columns in groups of {group}")
        self.tensor(weight, [*shape[:-1], shape[-1] * bits // 32], ["U32"])
        self.tensor(module + ".scales", [*shape[:-1], shape[-1] // group])
        kind = self.found[full + ".scales"][0]
        self.tensor(module + ".biases", [*shape[:-1], shape[-1] // group], [kind])

    def _layer(self, at, layer):
        sizes = self.config.sizes
        self.vector(at + "input_layernorm.weight", self.hidden)
        self.vector(at + "post_attention_layernorm.weight", self.hidden)
        if self.config.full[layer]:
            heads, dim = sizes["heads"], sizes["head_dim"]
            gates = 2 if self.config.family == "qwen3_5_moe" else 1
            self.matrix(at + "self_attn.q_proj", heads * gates * dim, self.hidden)
            for which in ("k_proj", "v_proj"):
                self.matrix(at + "self_attn." + which, sizes["kv_heads"] * dim, self.hidden)
            self.matrix(at + "self_attn.o_proj", self.hidden, heads * dim)
            self.vector(at + "self_attn.q_norm.weight", dim)
            self.vector(at + "self_attn.k_norm.weight", dim)
        else:
            self._linear(at + "linear_attn.")
        if self.config.sparse[layer]:
            self._experts(at + "mlp.")
        else:
            self._three(at + "mlp.", sizes["intermediate_size"])

    def _linear(self, at):
        sizes = self.config.sizes
        keys, values = sizes["linear_num_key_heads"], sizes["linear_num_value_heads"]
        key, value = sizes["linear_key_head_dim"], sizes["linear_value_head_dim"]
        if values % keys:
            raise Wrong(f"{values} value heads for {keys} key heads")
        channels, taps = 2 * keys * key + values * value, sizes["linear_conv_kernel_dim"]
        self.matrix(at + "in_proj_qkv", channels, self.hidden)
        self.matrix(at + "in_proj_z", values * value, self.hidden)
        self.matrix(at + "in_proj_a", values, self.hidden)
        self.matrix(at + "in_proj_b", values, self.hidden)
        self.matrix(at + "out_proj", self.hidden, values * value)
        conv = self.found[self.name(at + "conv1d.weight")]
        if conv[0] not in FLOATS or conv[1] not in ([channels, 1, taps], [channels, taps, 1]):
            raise Wrong(f"{at}conv1d is {conv}")
        self.vector(at + "dt_bias", values)
        self.vector(at + "A_log", values)
        self.vector(at + "norm.weight", value)

    def _experts(self, at):
        sizes = self.config.sizes
        count, width = sizes["experts"], sizes["moe_intermediate_size"]
        self.matrix(at + "gate", count, self.hidden)
        if self.name(at + "switch_mlp.gate_proj.weight", False):
            for which in ("gate_proj", "up_proj"):
                self.matrix(at + "switch_mlp." + which, count, width, self.hidden)
            self.matrix(at + "switch_mlp.down_proj", count, self.hidden, width)
        elif self.name(at + "experts.gate_up_proj", False):
            self.tensor(at + "experts.gate_up_proj", [count, 2 * width, self.hidden])
            self.tensor(at + "experts.down_proj", [count, self.hidden, width])
        else:
            for expert in range(count):
                self._three(f"{at}experts.{expert}.", width)
        if self.config.family == "qwen3_5_moe":
            self._three(at + "shared_expert.", sizes["shared_expert_intermediate_size"])
            self.matrix(at + "shared_expert_gate", 1, self.hidden)

    def _three(self, at, width):
        for which in ("gate_proj", "up_proj"):
            self.matrix(at + which, width, self.hidden)
        self.matrix(at + "down_proj", self.hidden, width)
