"""A second, strict reader of config.json and generation_config.json: what the published description
of `qwen3_moe` and `qwen3_5_moe` lets a file say. It knows no source of Mach.

A member is wrong where it is there (null is as good as absent), decides something, and has another
type or a value that the architecture has no meaning for; then no default may take its place. What
decides nothing is not looked at, and what readers may differ on is left open."""
import json
import math

MOST_SIZE = 1 << 31  # no published size is near it
MOST_BYTES = 64 << 20  # of a document


class Wrong(Exception):
    pass


def data(path):
    """The bytes of a file that is one; raises OSError."""
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise OSError(f"{path.name} is no file of a sane size")
    return path.read_bytes()


def read(path):
    """A JSON object; raises Wrong."""
    try:
        value = json.loads(data(path).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise Wrong(f"{path.name}: {error}") from None
    if not isinstance(value, dict):
        raise Wrong(f"{path.name} is no object")
    return value


def differs(directory):
    """Whether readers may differ on a document: a byte order mark in front, half of a surrogate
    pair, a number beyond all bounds, or a name twice, of which they take one, or none."""
    found = []

    def pairs(members):
        if len(dict(members)) != len(members):
            found.append(True)

    def bounded(text):
        found.extend([True] * math.isinf(float(text)))

    for path in directory.glob("*.json"):
        try:
            text = data(path).decode("utf-8")
            found += [True] * (text.startswith("\ufeff") or "\\ud8" in text.lower())
            json.loads(text.removeprefix("\ufeff"), object_pairs_hook=pairs, parse_float=bounded)
        except (OSError, ValueError, RecursionError):
            continue
    return bool(found)


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def whole(value):
    return number(value) and math.isfinite(value) and value == int(value)


class Config:
    """What a config says, checked; `sizes` and the rest hold what other checks need."""

    def __init__(self, document):
        self.document = document
        self.open = False  # readers may differ on what it says
        text = document.get("text_config")
        self.text = document
        if text is not None:
            self.need(isinstance(text, dict), "text_config", text)
            self.text = text
        self.family = self._family()
        self.sizes = {}
        self._sizes()
        self._rope()
        self._words()
        self._layers()
        self.eos = tokens(self, "eos_token_id", self.get("eos_token_id"), self.sizes["vocab_size"])
        try:
            self.quantization, self.unquantized = self._quantization(), None
        except Wrong as error:  # of a model that has scales
            self.quantization, self.unquantized = {}, error

    @staticmethod
    def need(condition, name, value):
        if not condition:
            raise Wrong(f"{name} is {str(value)[:80]!r}")

    def get(self, name):
        """text_config wins."""
        value = self.text.get(name)
        return self.document.get(name) if value is None else value

    def _family(self):
        """Readers go by model_type, or by the class."""
        kind, classes = self.document.get("model_type"), self.document.get("architectures")
        by_kind = {"qwen3_5_moe": "qwen3_5_moe", "qwen3_5_moe_text": "qwen3_5_moe",
                   "qwen3_moe": "qwen3_moe"}.get(kind if isinstance(kind, str) else None)
        by_class = None
        if isinstance(classes, list) and len(classes) == 1:
            by_class = {"Qwen3_5MoeForConditionalGeneration": "qwen3_5_moe",
                        "Qwen3_5MoeForCausalLM": "qwen3_5_moe",
                        "Qwen3MoeForCausalLM": "qwen3_moe"}.get(str(classes[0]))
        if by_kind is None and by_class is None:
            raise Wrong(f"no architecture: {kind} {classes}")
        self.open |= by_kind != by_class
        return by_kind or by_class

    def size(self, name, default=None, least=1):
        value = self.get(name)
        if value is None:
            self.need(default is not None, name, value)
            return default
        self.need(whole(value) and least <= value <= MOST_SIZE, name, value)
        self.open |= isinstance(value, float)
        return int(value)

    def _sizes(self):
        heads = self.size("num_attention_heads")
        names = ["vocab_size", "hidden_size", "num_hidden_layers", "moe_intermediate_size",
                 "num_experts_per_tok",
                 "max_position_embeddings"]
        if self.family == "qwen3_5_moe":
            names += ["shared_expert_intermediate_size", "linear_num_key_heads",
                      "linear_num_value_heads",
                      "linear_key_head_dim", "linear_value_head_dim", "linear_conv_kernel_dim"]
        defaults = {"max_position_embeddings": 32768, "linear_conv_kernel_dim": 4,
                    "shared_expert_intermediate_size": 512}
        for name in names:
            self.sizes[name] = self.size(name, defaults.get(name))
        self.sizes["heads"] = heads
        self.sizes["kv_heads"] = self.size("num_key_value_heads", heads)
        self.sizes["head_dim"] = self.size("head_dim", self.sizes["hidden_size"] // heads or 1)
        experts = [name for name in ("num_experts", "num_local_experts")
                   if self.get(name) is not None]
        self.need(experts, "num_experts", None)
        counts = [self.size(name) for name in experts]
        self.sizes["experts"] = counts[0]
        self.need(heads % self.sizes["kv_heads"] == 0, "num_key_value_heads",
                  self.sizes["kv_heads"])
        self.need(self.sizes["num_experts_per_tok"] <= counts[0], "num_experts_per_tok", counts)
        eps = self.eps = self.get("rms_norm_eps")
        self.need(eps is None or number(eps) and 0 < eps < 1, "rms_norm_eps", eps)
        self.open |= eps is not None and not 1e-12 <= eps <= 0.1  # far from any published one

    def _rope(self):
        groups = [self.get(name) for name in ("rope_parameters", "rope_scaling")]
        for group in groups:
            self.need(group is None or isinstance(group, dict), "rope parameters", group)
        groups = [group for group in groups if group]
        for group in groups:
            kind = group.get("rope_type", group.get("type"))
            self.need(kind in (None, "default"), "rope_type", kind)
            # One group for each kind of layer is what another family has.
            self.need(not any(isinstance(value, dict) for value in group.values()),
                      "rope parameters", group)
        inside = [group["rope_theta"] for group in groups if group.get("rope_theta") is not None]
        theta = inside[0] if inside else self.get("rope_theta")
        self.need(theta is None or number(theta) and 1 < theta < 1e15, "rope_theta", theta)
        self.open |= theta is not None and not 1.01 < theta < 1e12
        self.theta, self.factor = theta, 1
        factors = [group["partial_rotary_factor"] for group in groups
                   if group.get("partial_rotary_factor") is not None]
        if self.family == "qwen3_5_moe" and factors:
            self.need(number(factors[0]) and 0 < factors[0] <= 1, "partial_rotary_factor",
                      factors[0])
            turned = int(factors[0] * self.sizes["head_dim"])
            self.need(turned >= 2 and turned % 2 == 0, "partial_rotary_factor", factors[0])
        if self.family == "qwen3_5_moe":
            self.factor = factors[0] if factors else None

    def _words(self):
        act = self.get("hidden_act")
        self.need(act in (None, "silu", "swish"), "hidden_act", act)
        allowed = {"attention_bias": [False], "tie_word_embeddings": [True, False]}
        if self.family == "qwen3_moe":
            allowed |= {"norm_topk_prob": [True, False], "use_sliding_window": [False]}
        else:
            allowed |= {"attn_output_gate": [True]}
        for name, values in allowed.items():
            value = self.get(name)
            self.need(value is None or isinstance(value, bool) and value in values, name, value)
        self.tied = bool(self.get("tie_word_embeddings"))
        self.normed = self.get("norm_topk_prob") if self.family == "qwen3_moe" else True

    def _layers(self):
        count = self.sizes["num_hidden_layers"]
        kinds = self.get("layer_types")
        if self.family == "qwen3_moe":  # has one kind of layer, and no such member
            self.open |= kinds is not None
        elif kinds is not None:
            self.need(isinstance(kinds, list) and all(isinstance(kind, str) for kind in kinds),
                      "layer_types", kinds)
            self.need(len(kinds) == count and set(kinds) <= {"full_attention", "linear_attention"},
                      "layer_types", kinds)
        self.need(count <= 10000, "num_hidden_layers", count)
        if self.family == "qwen3_5_moe":
            if kinds is None:
                every = self.size("full_attention_interval", 4)
            else:  # decides nothing
                every = self.get("full_attention_interval")
                self.open |= every is not None and not (isinstance(every, int) and every > 0)
            self.full = [kinds[i] == "full_attention" if kinds else (i + 1) % every == 0
                         for i in range(count)]
            self.sparse = [True] * count
            return
        self.full = [True] * count
        step = self.size("decoder_sparse_step", 1)
        dense = self.get("mlp_only_layers")
        dense = [] if dense is None else dense
        self.need(isinstance(dense, list) and all(whole(layer) for layer in dense),
                  "mlp_only_layers", dense)
        self.open |= any(isinstance(layer, float) or layer < 0 for layer in dense)
        self.sparse = [i not in dense and (i + 1) % step == 0 for i in range(count)]
        if not all(self.sparse):
            self.sizes["intermediate_size"] = self.size("intermediate_size")

    def effects(self):
        """The numbers that decide what the same weights compute; None: absent."""
        return {"rms_norm_eps": self.eps, "rope_theta": self.theta, "norm_topk_prob": self.normed,
                "partial_rotary_factor": self.factor, "tie_word_embeddings": self.tied,
                **{name: self.sizes[name] for name in ("num_experts_per_tok", "num_hidden_layers")}}

    def _quantization(self):
        """group_size and bits of a module, by name; the empty name: of all others."""
        found = self.document.get("quantization")
        if found is None:
            found = self.document.get("quantization_config")
        if found is None:
            return {}
        self.need(isinstance(found, dict), "quantization", found)
        self.need(found.get("mode") in (None, "affine"), "quantization.mode", found.get("mode"))
        self.need(found.get("quant_method") is None, "quant_method", found.get("quant_method"))
        modules = {}
        for name, value in [("", found), *found.items()]:
            if value is False or not isinstance(value, dict):
                continue
            for key in ("group_size", "bits"):
                self.need(whole(value.get(key)) or name and value.get(key) is None,
                          f"quantization.{name}.{key}", value.get(key))
            self.need(value.get("bits", found["bits"]) in (4, 8), "quantization.bits", value)
            self.need(value.get("group_size", found["group_size"]) in (32, 64, 128),
                      "quantization.group_size", value)
            modules[name] = (int(value.get("group_size", found["group_size"])),
                             int(value.get("bits", found["bits"])))
        return modules


def tokens(config, name, value, vocabulary):
    """Ids that end an answer: one, or a list."""
    if value is None:
        return []
    values = value if isinstance(value, list) else [value]
    for one in values:
        config.need(whole(one) and 0 <= one < vocabulary, name, value)
        config.open |= isinstance(one, float)
    return values


RANGES = {"temperature": (0, 100), "top_p": (0, 1), "min_p": (0, 1),
          "repetition_penalty": (1e-9, 1e38)}


def check_generation(path, config):
    """What generation_config.json sets; absent is good."""
    if not path.exists():
        return
    found = read(path)
    tokens(config, "generation_config.eos_token_id", found.get("eos_token_id"),
           config.sizes["vocab_size"])
    for name, (least, most) in RANGES.items():
        value = found.get(name)
        config.need(value is None or number(value) and least <= value <= most, name, value)
    config.open |= found.get("top_p") == 0  # nothing to draw from, or the most probable token
    top_k = found.get("top_k")
    config.need(top_k is None or whole(top_k) and top_k < 1 << 63, "top_k", top_k)
    config.open |= isinstance(top_k, float)
