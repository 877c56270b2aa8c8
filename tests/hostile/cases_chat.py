"""Cases: odd messages, tools, choices of tools, template variables, and prompts."""
from case import base, body_case
from odd_values import Raw, TEXTS, any_value, dump, nested

CHATS = ["/v1/chat/completions", "/apply-template", "/tokenize", "/v1/cache/warm_prefix"]
ROLES = ["user", "assistant", "system", "developer", "tool", "function", "User", "", "\x00",
         "ipython"]


def _chat(random):
    path = random.choice(CHATS)
    body = base(path)
    if path in ("/tokenize", "/v1/cache/warm_prefix"):
        body.clear()
    body["messages"] = [{"role": "user", "content": "Hi"}]
    return path, body


def _part(random):
    kind = random.choice(["text", "image_url", "input_text", "thinking", "reasoning",
                          "redacted_thinking",
                          "refusal", "tool_use", "tool_result", "", "x"])
    part = {"type": kind, "text": random.choice(TEXTS)}
    for name in random.sample(["type", "text", "thinking", "image_url", "content", "reasoning"], 2):
        if random.random() < 0.5:
            part[name] = any_value(random)
    if random.random() < 0.1:
        part.pop("type", None)
    return part


def _call(random):
    function = {"name": random.choice(["f", "", "\x00", "g h", "<|im_end|>"]),
                "arguments": random.choice(["{}", "{\"a\":", "[1]", "null", "", "{\"a\":1e999}",
                                            "{\"a\":NaN}",
                                            "\"x\"", "{" * 100, "{\"a\":\"\\ud800\"}", Raw("{}"),
                                            Raw("{\"a\":[1]}")])}
    call = {"id": "c", "type": "function", "function": function}
    where = random.choice([call, function])
    where[random.choice(sorted(where))] = any_value(random)
    return call


def _message(random):
    message = {"role": random.choice(ROLES), "content": random.choice(TEXTS)}
    if random.random() < 0.3:
        message["content"] = [_part(random) for _ in range(random.randrange(4))]
    if random.random() < 0.2:
        message["tool_calls"] = [_call(random) for _ in range(random.randrange(3))]
    if random.random() < 0.3:
        name = random.choice(["role", "content", "name", "tool_call_id", "tool_calls",
                              "reasoning_content",
                              "reasoning", "function_call", "refusal", "audio", "thinking"])
        message[name] = any_value(random)
    if random.random() < 0.1:
        message.pop(random.choice(sorted(message)))
    return message


def messages(random, api):
    path, body = _chat(random)
    body["messages"] = [_message(random) for _ in range(random.choice([0, 1, 1, 2, 3, 6]))]
    return body_case(api, path, "messages", body)


def bad_message(random, api):
    """One message with what the documentation refuses."""
    path, body = _chat(random)
    bad = random.choice([
        {"role": "user"}, {"content": "Hi"}, {"role": 1, "content": "Hi"}, {"role": ["user"],
            "content": "Hi"},
        {"role": "user", "content": 1}, {"role": "user", "content": {}}, {"role": "user",
            "content": True},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]},
        {"role": "user", "content": [1]}, {"role": "user", "content": [{"type": "text",
            "text": 1}]},
        {"role": "user", "content": [{"type": "input_audio"}]}, "Hi", 1, ["user", "Hi"], [], True,
        {"role": "tool"}, {"role": "system"}, {"role": "user", "content": None},
        {"role": "assistant", "tool_calls": 1}, {"role": "assistant", "tool_calls": [1]}])
    body["messages"] = [*body["messages"], bad] if random.random() < 0.5 else [bad,
        *body["messages"]]
    return body_case(api, path, "a bad message", body, refused=True)


def _schema(random, depth=0):
    kinds = ["string", "integer", "number", "boolean", "null", "array", "object", "x", ""]
    schema = {"type": random.choice(kinds)}
    kind = random.randrange(10)
    if kind == 0:
        schema = {"$ref": random.choice(["#", "#/$defs/A", "#/definitions/A", "#/x/y",
                                         "http://a/b", "",
                                         "#/%", "#/$defs/~1~0~2", "#" + "/a" * 500])}
    elif kind == 1:
        schema["type"] = [random.choice(kinds) for _ in range(random.randrange(5))]
    elif kind == 2:
        schema["enum"] = [any_value(random) for _ in range(3)]
    elif kind == 3 and depth < 4:
        schema[random.choice(["anyOf", "oneOf", "allOf", "not", "items"])] = [
            _schema(random, depth + 1) for _ in range(random.randrange(3))]
    elif kind == 4:
        schema[random.choice(["type", "enum", "items", "properties", "$ref",
                              "required"])] = any_value(random)
    elif kind == 5 and depth < 4:
        schema = {"type": "object", "properties": {str(i): _schema(random, depth + 1)
                                                   for i in range(3)}}
    return schema


def tools(random, api):
    path, body = _chat(random)
    made = []
    for number in range(random.choice([1, 1, 2, 4])):
        properties = {random.choice(["a", "b", "", "\x00", "</parameter>"]): _schema(random)}
        parameters = {"type": "object", "properties": properties, "required": ["a"],
                      "$defs": {"A": random.choice([{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"},
                                                    _schema(random)]),
                                "B": {"$ref": "#/$defs/A"}}}
        function = {"name": random.choice([f"f{number}", "f", "", "<|im_end|>", "a b"]),
                    "description": random.choice(TEXTS), "parameters": parameters}
        tool = {"type": "function", "function": function}
        if random.random() < 0.4:
            where = random.choice([tool, function, parameters])
            where[random.choice(sorted(where))] = any_value(random)
        made.append(tool)
    body["tools"] = made
    if random.random() < 0.5 and "max_tokens" in body:
        body["tool_choice"] = random.choice(["required", "auto", "none", "any", "x",
                                             any_value(random),
                                             {"type": "function", "function": {"name": "f"}},
                                             {"type": "function", "name": "f0"},
                                             {"type": "function"},
                                             {"type": "allowed_tools", "mode": "required",
                                              "tools": []},
                                             {"type": "allowed_tools",
                                              "allowed_tools": any_value(random)}])
    return body_case(api, path, "tools", body)


def cyclic_tools(random, api):
    """$ref cycles, chains, giant enums and wide schemas; the model calls the tool."""
    size = random.choice([2, 50, 1000])
    chain = {f"d{i}": {"$ref": f"#/$defs/d{(i + 1) % size}"} for i in range(size)}
    star = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{j}"} for j in range(min(size, 12))]}
            for i in range(min(size, 12))}
    schema = random.choice([
        {"$defs": chain, "properties": {"a": {"$ref": "#/$defs/d0"}}},
        {"$defs": star, "properties": {"a": {"$ref": "#/$defs/d0"}}},
        {"definitions": chain, "properties": {"a": {"$ref": "#/definitions/d1"}}},
        {"properties": {"a": {"$ref": "#"}}}, {"$ref": "#"},
        {"properties": {"a": {"$ref": "#/properties/a"}}},
        {"properties": {"a": {"enum": list(range(size * 20))}}},
        {"properties": {f"p{i}": {"type": ["string", "null"]} for i in range(size)}},
        {"properties": {"a": nested(random.choice([10, 25, 50]), "{\"anyOf\":[",
                                    "{\"type\":\"integer\"}", "]}")}},
    ])
    path, body = _chat(random)
    schema["type"] = "object"
    body["tools"] = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    if "max_tokens" in body:
        body["tool_choice"] = random.choice(["auto", "required"])
        body["max_tokens"] = 8
    return body_case(api, path, "a schema with cycles", body)


def template_variables(random, api):
    path, body = _chat(random)
    names = ["enable_thinking", "messages", "tools", "add_generation_prompt", "bos_token",
             "namespace", "loop",
             "raise_exception", "range", "x", "", "a b", "self", "true", "none", "strftime_now",
             "__class__"]
    body["chat_template_kwargs"] = {random.choice(names): any_value(random)
                                    for _ in range(random.randrange(1, 4))}
    return body_case(api, path, "chat_template_kwargs", body)


def prompts(random, api):
    body = base("/v1/completions")
    body["prompt"] = random.choice([
        [], "", [""], [[]], [[], []], [1, "a"], [[1], "a"], [[1], 2], [-1], [8192], [1 << 31],
        [1 << 63], [0.5],
        [Raw("1.0")], [Raw("1e3")], [None], [True], {}, {"a": 1}, 1, True, [[[1]]], ["a"] * 17,
        [[1]] * 17,
        [Raw("1e308")], [Raw("-9223372036854775809")], Raw("\"\\ud800\""), "\x00", ["\x00", "b"],
        any_value(random)])
    if random.random() < 0.5:
        body[random.choice(["n", "best_of", "echo", "logprobs", "stop",
                            "stream"])] = any_value(random)
    return body_case(api, "/v1/completions", "prompt", body)


def detokenize(random, api):
    body = {"tokens": random.choice([[], [-1], [1 << 31], [1 << 63], [Raw("1e308")], [0.5], ["1"],
                                     [[1]], [None],
                                     [8191, 8192], list(range(300)), [Raw("72.0")],
                                     any_value(random)])}
    return body_case(api, "/detokenize", "tokens", body)


def sampling(random, api):
    """Objects and lists of sampling, and what contradicts itself."""
    path = random.choice(["/v1/chat/completions", "/v1/completions"])
    body = base(path)
    more = [
        {"logit_bias": {random.choice(["0", "-1", "8192", "a", "", "1.5", "99999999999", " 1",
                                       "1 "]):
                        random.choice([0, 100, -100, 101, -1e308, "1", None, True, Raw("1e309")])}},
        {"logit_bias": {str(i): -100 for i in range(random.choice([10, 5000, 8192, 9000]))}},
        {"stop": random.choice(["", [""], [], ["a"] * 32, ["a"] * 33, "a" * 256, "a" * 257, [1],
                                [None],
                                [["a"]], {}, "\x00", ["\U0001f600" * 64, "\U0001f600" * 65]])},
        {"stop_token_ids": random.choice([[], [-1], [8192], [1 << 63], ["1"], [0.5], [None],
                                          list(range(8192))])},
        {"stream_options": random.choice([{"include_usage": 1}, {"include_usage": None}, {"x": 1},
                                          {"include_usage": True}])},
        {"stream": True, "stream_options": {"include_usage": random.choice([True, "a", 1, {}])}},
        {"n": random.choice([0, 1, 2, 16, 17, 1 << 30]), "stream": random.random() < 0.5},
        {"seed": random.choice([0, -1, -2, 1 << 31, 1 << 53, 1 << 63, 1 << 64, Raw("1e308"),
                                Raw("0.5"), Raw("1e309")])},
        {"speculation": random.choice([{}, {"mode": 1}, {"mode": "x"}, {"mode": None},
                                       {"mode": "ngram"}, {"x": 1}])},
        {"response_format": random.choice([{}, {"type": "text"}, {"type": "json_object"},
                                           {"type": 1},
                                           {"type": "json_schema", "json_schema": {}}])},
        {"top_logprobs": random.choice([0, 1, 20, 21]), "logprobs": random.choice([True, False,
            None, 5])},
        {"max_tokens": random.choice([0, 1, -1, -2, 1 << 30, 1 << 31]),
         "max_completion_tokens": random.choice([1, 2, -2])},
        {"temperature": random.choice([0, 1e-300, 5e-324, 1e-30, 100, 100.1]),
         "top_p": random.choice([0, 1e-300, 1, 1.1]),
         "top_k": random.choice([-1, 0, 1, 1 << 30]), "min_p": random.choice([0, 1, 1e-300])},
        {"repetition_penalty": random.choice([0.01, 100, 0, -1]),
         "frequency_penalty": random.choice([2, -2, 2.1]),
         "presence_penalty": random.choice([2, -2]), "temperature": random.choice([0, 1, 100])},
        {"model": random.choice(["", "x", "a" * 10000, "../x", "\x00", "<script>"])},
        {"session_id": any_value(random), "user": any_value(random),
         "prompt_cache_key": any_value(random)},
    ]
    for fields in random.sample(more, random.choice([1, 1, 1, 2])):
        body.update(fields)
    many = path == "/v1/chat/completions" and isinstance(body.get("n"), int) and body["n"] > 16
    return body_case(api, path, "sampling", body, refused=many)


def counts(random, api):
    """One more than the documented limit, or as many as that."""
    extra = random.choice([0, 1])
    which = random.randrange(3)
    body = base("/v1/chat/completions")
    if which == 0:
        body["stop"] = ["a"] * (32 + extra)
    elif which == 1:
        body["stop"] = "a" * (256 + extra)
    else:
        tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
        body["tools"] = [Raw(dump(tool).replace("\"f\"", f"\"f{i}\"")) for i in range(512 + extra)]
    return body_case(api, "/v1/chat/completions", "a count at its limit", body, refused=extra == 1)


KINDS = [(6, messages), (3, bad_message), (5, tools), (2, cyclic_tools), (3, template_variables),
         (3, prompts),
         (1, detokenize), (5, sampling), (0.5, counts)]
