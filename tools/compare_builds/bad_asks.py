"""What servers refuse: written by hand, and what tests/hostile makes of the OpenAPI document."""
import random

import cases_chat
import cases_fields
import cases_wire
from case import Api

from asks import CHAT, COMPLETIONS, Ask, chat, get, messages, post

GENERATED = 1500
# Cases of one well framed request, and cases that are refused by their head alone. Others end when
# a time is over, or depend on when a client leaves.
BODIES = [*cases_fields.KINDS, *cases_chat.KINDS]
HEADS = [(3, cases_wire.framing_fields), (5, cases_wire.heads), (1, cases_wire.long_body)]


def fields():
    """What is wrong about one member each."""
    wrong = [
        {"temperature": -1}, {"temperature": "1"}, {"temperature": 101}, {"top_p": 2},
        {"top_k": 0.5}, {"min_p": -1}, {"n": 0}, {"n": 17}, {"seed": "x"}, {"seed": 1.5},
        {"max_tokens": -2}, {"max_tokens": True}, {"stop": [1]}, {"stop": ["x"] * 33},
        {"stop": "x" * 257}, {"stop_token_ids": [-1]}, {"stop_token_ids": "x"},
        {"logit_bias": {"x": 1}}, {"logit_bias": {"1": 101}}, {"logit_bias": {"999999": 1}},
        {"logprobs": 1}, {"top_logprobs": 2}, {"top_logprobs": 21, "logprobs": True},
        {"frequency_penalty": 3}, {"presence_penalty": -3}, {"repetition_penalty": 0},
        {"stream": 1}, {"stream_options": {"include_usage": 1}}, {"speculation": {"mode": "x"}},
        {"response_format": {"type": "json_object"}}, {"response_format": {}},
        {"reasoning_effort": "x"}, {"reasoning_format": "x"}, {"thinking_token_budget": 5},
        {"chat_template_kwargs": {"messages": 1}}, {"modalities": ["audio"]}, {"min_tokens": 1},
        {"sse_ping_interval": 0}, {"echo": True}, {"grammar": "x"}, {"guided_json": {}},
        {"prompt_logprobs": 1}, {"bad_words": []}, {"model": 1},
        {"continue_final_message": True}, {"add_generation_prompt": 1}]
    said = [
        [], "Hello", [1], [{}], [{"role": "user"}], [{"role": "x", "content": "a"}],
        [{"role": "user", "content": 1}], [{"role": "user", "content": [{"type": "image_url"}]}],
        [{"role": "tool", "content": "a"}], [{"role": "assistant"}], messages(""),
        [{"role": "assistant", "tool_calls": [{}]}], [{"role": "system", "content": "a"}]]
    bodies = [b"", b"{", b"[]", b"null", b"\"x\"", b"{\"messages\":[]}x", b"{\"a\":1,}", b"\xff",
              b"{\"messages\":\"\xff\"}", b"[" * 100, b"{\"messages\":NaN}", b"{}",
              b"{\"messages\":[],\"messages\":[]}", b"\xef\xbb\xbf{}", b"{\"model\":\"\\ud800\"}"]
    return [*(chat("Hello", **members) for members in wrong), *(chat(one) for one in said),
            *(post(CHAT, body) for body in bodies), *(post(COMPLETIONS, body) for body in bodies)]


def framing():
    """Heads and bodies that are refused, and some odd ones that are not."""
    body = b"{\"prompt\": \"A heron\", \"max_tokens\": 2, \"temperature\": 0}"
    kind = "Content-Type: application/json"
    chunked = [b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:], b"")]
    chunks = get(COMPLETIONS, kind, "Transfer-Encoding: chunked", method="POST", what="chunked")
    chunks.data += b"".join(chunked)
    two = get("/livez", what="two in a row")
    two.data, two.answers = two.data * 2, 2
    large = get(COMPLETIONS, kind, f"Content-Length: {64 << 20}", method="POST", what="64 MiB")
    large.half_close = True
    post_none = get(COMPLETIONS, kind, method="POST", what="neither length nor chunks")
    return [
        chunks, two, large, post_none, post(COMPLETIONS, body, kind="text/plain"),
        post(COMPLETIONS, body, kind=""), post(COMPLETIONS, body, kind="application/x+json"),
        post(COMPLETIONS, body, kind="Application/JSON ; charset=utf-8"),
        post(COMPLETIONS, body, "Content-Encoding: gzip"),
        post(COMPLETIONS, body, "Content-Encoding: identity"),
        post(COMPLETIONS, body, "Expect: 100-continue"), post(COMPLETIONS, body, "Expect: x"),
        get("/" + "a" * 9000, what="a long target"), get("/livez", "a: " + "b" * 40000),
        get("/livez", *["a: b"] * 101), get("/livez", "Transfer-Encoding: gzip"),
        get("/livez", "Host: localhost"), get("/livez", "no colon"), get("/livez", "a : b"),
        get("/livez", "Content-Length: 1", "Content-Length: 1"), get("/li vez"),
        get("/livez", method="X"), get("/v1/models/%zz"), get("/livez", "a: \x01"),
        Ask("another host", b"GET /livez HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        Ask("no host", b"GET /livez HTTP/1.1\r\nA: b\r\n\r\n"),
        Ask("HTTP/1.0", b"GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n"),
        Ask("HTTP/2.0", b"GET /livez HTTP/2.0\r\nHost: localhost\r\n\r\n"),
        Ask("HTTP/0.9", b"GET /livez\r\n\r\n"), Ask("TLS", b"\x16\x03\x01\x02\x00\r\n\r\n")]


def large():
    """Bodies that are too much for a server with little memory, and almost."""
    text = b"x" * (2 << 20)
    return [post(COMPLETIONS, b"{\"prompt\": \"" + text[:size] + end,
                 what=f"{size >> 10} KiB{what}")
            for size, end, what in ((2 << 20, b"\"}", ""), (900 << 10, b"\"}", ""),
                                    (900 << 10, b"", " of no JSON"), (90 << 10, b"\"}", ""))]


def access():
    """Keys, origins and hosts; with and without a server that wants them."""
    asked = []
    for target in ("/livez", "/v1/models", "/openapi.json"):
        asked += [get(target, *fields) for fields in (
            [], ["Authorization: Bearer right"], ["Authorization: Bearer wrong"],
            ["Authorization: Basic right"], ["Authorization: bearer right"], ["x-api-key: right"],
            ["x-api-key: wrong"], ["Origin: https://app.example"],
            ["Origin: https://other.example"], ["Origin: http://localhost:1"], ["Origin: null"])]
    preflight = ["Access-Control-Request-Method: POST",
                 "Access-Control-Request-Headers: authorization, x-other"]
    return [*asked, get(CHAT, "Origin: https://app.example", *preflight, method="OPTIONS"),
            get(CHAT, "Origin: https://other.example", *preflight, method="OPTIONS"),
            chat("Hello", "x-api-key: right", "Origin: https://app.example", stream=True),
            chat("Hello", "Authorization: Bearer right")]


def generated(document):
    """From a seed, so that both builds are asked the same."""
    api, chance, asked = Api.read(document), random.Random("compare builds"), []
    for number in range(GENERATED):
        kinds = HEADS if number % 5 == 0 else BODIES
        [kind] = chance.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])
        case = kind(chance, api)
        if case.silent or (kinds is BODIES and case.end != "read"):
            continue
        data = b"".join(case.parts)
        head, blank, body = data.partition(b"\r\n\r\n")
        if kinds is BODIES and b"completions " in head and b"\"seed\"" not in body:
            data = _with_member(head, blank, body, b"\"seed\":7,")
        asked.append(Ask(f"generated {number}: {case.what[:100]}", data,
                         half_close=case.end.startswith("half_close")))
    return asked


def _with_member(head, blank, body, member):
    if not body.startswith(b"{\""):
        return head + blank + body
    body = b"{" + member + body[1:]
    length = head.rindex(b"Content-Length: ") + len(b"Content-Length: ")
    return head[:length] + str(len(body)).encode() + blank + body
