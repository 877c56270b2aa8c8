"""What servers are asked, written by hand: every endpoint, and what generations can be told."""
import dataclasses
import json

CHAT, COMPLETIONS, WARM = "/v1/chat/completions", "/v1/completions", "/v1/cache/warm_prefix"
STATE = ["/v1/stats", "/v1/cache/stats", "/metrics", WARM]  # what a server tells of what it did
LENGTHS = [("HEAD", "/v1/stats"), ("HEAD", "/metrics")]  # that durations change


@dataclasses.dataclass
class Ask:
    what: str
    data: bytes
    head_only: bool = False    # an answer to HEAD
    half_close: bool = False   # the client ends its input behind the request
    answers: int = 1           # of a pipeline
    tells_state: bool = False  # asked when the server is at rest


def get(target, *fields, method="GET", what=""):
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *fields, "", ""]
    return Ask(f"{method} {target[:60]}{': ' * bool(what)}{what}",
               "\r\n".join(lines).encode("latin-1"), head_only=method == "HEAD",
               tells_state=target in STATE)


def post(path, body, *fields, what="", kind="application/json"):
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(data)}",
             *([f"Content-Type: {kind}"] if kind else []), *fields, "", ""]
    what = what or data.decode("utf-8", "replace")[:200]
    return Ask(f"POST {path}: {what}", "\r\n".join(lines).encode("latin-1") + data)


def messages(*texts):
    """A conversation in turns, the user's first."""
    return [{"role": ["user", "assistant"][i % 2], "content": text} for i, text in enumerate(texts)]


def chat(text, *fields, path=CHAT, **members):
    said = text if isinstance(text, list) else messages(text)
    return post(path, {"max_tokens": 24, "temperature": 0, **members, "messages": said}, *fields)


def complete(prompt, **members):
    return post(COMPLETIONS, {"max_tokens": 16, "temperature": 0, **members, "prompt": prompt})


def tool(name, **properties):
    return {"type": "function", "function": {
        "name": name, "description": f"The function {name}.",
        "parameters": {"type": "object", "required": list(properties),
                       "properties": {key: {"type": kind} for key, kind in properties.items()}}}}


TIMER, SEARCH = tool("set_timer", minutes="integer"), tool("search_web", query="string")
BOTH = {"tools": [TIMER, SEARCH], "max_tokens": 60}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
SYSTEM = [{"role": "system", "content": "You are brief."}, *messages("What does \"flame\" mean?")]
ASKED = "Wake me in 77 minutes."
CALLED = [*messages(ASKED),
          {"role": "assistant", "content": None, "tool_calls": [
              {"id": "call_1", "type": "function",
               "function": {"name": "set_timer", "arguments": "{\"minutes\": 77}"}}]},
          {"role": "tool", "tool_call_id": "call_1", "content": "started"}]
LONG = "The heron waits beside the quiet water. " * 60
THINKING = {"chat_template_kwargs": {"enable_thinking": True}}

# What a conversation is told, whole and as a stream.
TOLD = [
    dict(n=2, seed=1, temperature=1),
    dict(seed=7, temperature=0.9, top_p=0.95),
    dict(logprobs=True, top_logprobs=3),
    dict(return_token_ids=True),
    THINKING,
    dict(THINKING, reasoning_format="none"),
    dict(THINKING, include_reasoning=False),
    dict(unknown_one=1, another={"x": []}, store=True, user="u"),
    dict(max_tokens=1),
    dict(ignore_eos=True, max_tokens=40),
]
# And what only a whole answer is asked with.
TOLD_WHOLE = [
    dict(seed=8, temperature=1.5, top_k=5, min_p=0.02),
    dict(seed=9, temperature=1, frequency_penalty=1.5, presence_penalty=-1),
    dict(repetition_penalty=1.3), dict(repeat_penalty=0.5),
    dict(stop_token_ids=[16, 17, 18, 19]), dict(max_tokens=0), dict(max_tokens=-1),
    dict(max_completion_tokens=3, max_tokens=9),
    dict(logit_bias={"400": 50, "2": -100}), dict(logit_bias={}),
    dict(add_generation_prompt=False), dict(reasoning_effort="high"), dict(reasoning_effort="none"),
    dict(thinking_token_budget=0), dict(response_format={"type": "text"}),
    dict(metadata={"a": "b"}), dict(model="mach-tiny"), dict(model="somebody/else"),
]
# Streams of their own.
TOLD_STREAM = [
    dict(timings_per_token=True), dict(sse_ping_interval=-1), dict(stream_options=None),
    dict(stream_options={"continuous_usage_stats": True, "include_usage": True}),
]
CONVERSATIONS = [
    "What does \"flame\" mean?",
    "What is ssh-keygen?",
    "Extract age, city, job as JSON: Tara is a 53-year-old teacher from Quito.",
    "Gr\u00fc\u00dfe an den Reiher \U0001f426 <|im_end|> \u4f60\u597d",
    SYSTEM,
    [{"role": "developer", "content": "Be brief."}, *messages("Hello")],
    messages("Hello", "Hello!", "Define flame."),
    messages("Hello", "I am a small"),
    [{"role": "user", "content": [{"type": "text", "text": part} for part in ("He", "llo")]}],
    [{"role": "system", "content": "x-anthropic-billing-header: 1\nBe brief."}, *messages("Hello")],
]
MODES = ["auto", "dflash", "ngram", "summarisation", "classification", "off"]


def endpoints(paths):
    """Every method of every path of the OpenAPI document, and spellings of some."""
    asked = [get(target.replace("{id}", name), method=method)
             for target in paths for name in ("mach-tiny", "no-one%20here")
             if name == "mach-tiny" or "{id}" in target
             for method in ("GET", "HEAD", "OPTIONS", "DELETE", "PUT")
             if (method, target) != ("DELETE", WARM) and (method, target) not in LENGTHS]
    return asked + [
        get("/v1/health"), get("/models"), get("//v1//models/"), get("/health?a=b&&="),
        get("/V1/models"), get("/v1/models/mach-tiny/"), get("/v1/models/x/y"), get("/v1"),
        get("/"), get("http://localhost/livez"), get("*", method="OPTIONS"),
        get("/mach/requests/none/cancel", "Content-Length: 0", method="POST"),
        get("/livez", "Connection: close"), get("/livez", "x-request-id: no good id"),
        get("/livez", "Expect: 100-continue"), get("/v1/models", "Accept: text/html"),
        post("/v1/embeddings", {"input": "x"})]


def chats():
    asked = [chat("Hello"), chat("Hello", **STREAM)]
    for members in TOLD:
        asked += [chat("Hello", **members), chat("Hello", **members, **STREAM)]
    asked += [chat("Define heron.", **members) for members in TOLD_WHOLE]
    asked += [chat("Hello", **{"stream": True, **members}) for members in TOLD_STREAM]
    for said in CONVERSATIONS:
        asked += [chat(said), chat(said, **STREAM)]
    asked += [chat(f"Define {mode}.", speculation={"mode": mode}, max_tokens=40) for mode in MODES]
    return [*asked, chat(messages("Hello", "I am"), continue_final_message=False),
            chat(LONG + "What is a heron?", return_progress=True, **STREAM),
            chat(LONG + "What is a heron?"), chat("Hello there", "x-session-id: one"),
            chat("Hello there", session_id="one"), chat("Hello there", prompt_cache_key="two")]


def tools():
    def function(name):
        return {"type": "function", "function": {"name": name}}

    allowed = {"mode": "required", "tools": [{"type": "function", "name": "set_timer"}]}
    asked = []
    for choice in (None, "auto", "required", "any", function("search_web"),
                   {"type": "allowed_tools", "allowed_tools": allowed}):
        asked += [chat(ASKED, **BOTH, tool_choice=choice),
                  chat(ASKED, **BOTH, **STREAM, tool_choice=choice)]
    return [*asked, chat(CALLED, **BOTH), chat(CALLED, **BOTH, **STREAM),
            chat(ASKED, **BOTH, tool_choice="none"), chat(ASKED, **{**BOTH, "max_tokens": 9}),
            chat(ASKED, **BOTH, logprobs=True, top_logprobs=1), chat(ASKED, tools=[]),
            chat(ASKED, **BOTH, tool_choice="x"), chat(ASKED, **BOTH, tool_choice=function("none")),
            chat(ASKED, **BOTH, tool_choice={"type": "function"}),
            chat(ASKED, tools=[{"type": "x"}]), chat(ASKED, tools=[TIMER, TIMER]),
            chat(ASKED, tools={"a": 1}),
            chat(ASKED, tool_choice="required"), chat(ASKED, functions=[TIMER["function"]])]


def completions():
    asked = []
    for prompt, members in (
            ("A heron is", {}), ("A heron is", dict(echo=True)), ("A heron is", dict(logprobs=2)),
            (["A heron", "A flame"], dict(seed=3, n=2, temperature=1)), ([300, 301, 302], {}),
            ([[300, 301], [302]], dict(return_token_ids=True)), (LONG, dict(return_progress=True))):
        asked += [complete(prompt, **members), complete(prompt, **members, **STREAM)]
    return [*asked, complete("A heron is", best_of=1), complete("A heron is", best_of=2),
            complete("A heron is", suffix="!"), complete("A heron is", echo=True, logprobs=1),
            complete(""), complete([]), complete([-1]), complete([999999]), complete({"a": 1}),
            complete([[1], "a"]), complete("x", n=17), complete(["x"] * 9, n=2)]


def stops():
    """The server ends these, while the engine goes on for as long as that takes to reach it: how
    far changes statistics and what is cached."""
    asked = []
    for members in (dict(stop="small"), dict(stop=["demonstration"], logprobs=True, top_logprobs=5),
                    dict(stop=["zzz", "am a"], include_stop_str_in_output=True)):
        asked += [chat("Hello", **members), chat("Hello", **members, **STREAM)]
    for members in (dict(stop=[" a", "the"]), dict(stop=[" a", "the"], logprobs=1),
                    dict(stop=["b", "c"], echo=True, n=2)):
        asked += [complete("A heron is", **members), complete("A heron is", **members, **STREAM)]
    one = {**BOTH, "parallel_tool_calls": False}
    return [*asked, chat(ASKED, **one), chat(ASKED, **one, **STREAM)]


def texts():
    everything = dict(with_pieces=True, return_token_strs=True)
    return [
        post("/tokenize", {"content": "A heron, \u00e9\U0001f426 <|im_end|>", **everything}),
        post("/tokenize", {"content": "a<|im_end|>", "parse_special": False}),
        post("/tokenize", {"prompt": "A heron", "add_special_tokens": True}),
        post("/tokenize", {"messages": CALLED, "tools": [TIMER], **everything}),
        post("/tokenize", {}), post("/tokenize", {"content": "a", "prompt": "b"}),
        post("/tokenize", {"messages": []}), post("/v1/tokenize", {"content": "", "nonsense": 1}),
        post("/detokenize", {"tokens": [300, 301, 2, 0, 8191]}),
        post("/detokenize", {"tokens": []}), post("/detokenize", {"tokens": [99999]}),
        post("/detokenize", {"tokens": ["a"]}), post("/detokenize", {}),
        chat(CALLED, path="/apply-template", tools=[TIMER]),
        chat(SYSTEM, path="/apply-template", **THINKING), chat([], path="/apply-template"),
        chat(messages("a", "b"), path="/apply-template")]


def prefixes():
    def warm(**members):
        return post(WARM, members)

    return [
        warm(messages=SYSTEM, session_id="one"), warm(messages=SYSTEM), warm(text=LONG),
        warm(messages=SYSTEM, tools=[TIMER]), warm(), warm(text=""), warm(messages=[]),
        warm(text="a", messages=SYSTEM), warm(text=1), warm(prompt="A heron is"), get(WARM),
        chat([*SYSTEM, {"role": "assistant", "content": "flame: fire"}, *messages("And now?")]),
        complete(LONG), complete("A heron is a bird"), get("/v1/cache/stats"),
        get(WARM, method="DELETE"), get(WARM), get(WARM, method="DELETE"), chat(SYSTEM)]


def states():
    return [get(path) for path in STATE]
