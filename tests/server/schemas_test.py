"""Holds responses and stream events of the scripted server to the schemas beside this file.

Usage: schemas_test.py SCRIPTED_SERVER SCRIPT. Exit status 77: skipped, for want of jsonschema.
"""
import http.client
import json
import pathlib
import subprocess
import sys

try:
    import jsonschema
except ImportError:
    print("skipped: python3-jsonschema is not installed")
    sys.exit(77)

SCHEMAS = json.loads((pathlib.Path(__file__).parent / "schemas" / "openai.schema.json").read_text())
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}}}]
CHATS = [
    {},
    {"content": "characters"},
    {"n": 3},
    {"content": "The weather?", "tools": TOOLS},
    {"content": "The weather in two towns?", "tools": TOOLS},
    {"content": "The weather?", "tools": TOOLS, "max_tokens": 50},
    {"content": "think"},
    {"content": "think", "include_reasoning": False},
    {"logprobs": True},
    {"logprobs": True, "top_logprobs": 3, "max_tokens": 2},
    {"stop": ["the"]},
    {"max_tokens": 0},
    {"return_token_ids": True, "timings_per_token": True},
]
STREAMED = [{}, {"stream_options": {"include_usage": True}},
            {"stream_options": {"include_usage": True, "continuous_usage_stats": True}},
            {"return_progress": True}]
COMPLETIONS = [{}, {"prompt": ["a", "b"], "n": 2}, {"logprobs": 2}, {"logprobs": 0}, {"echo": True},
               {"prompt": [104, 105], "max_tokens": 3}]
ERRORS = [("POST", "/v1/chat/completions", b"{"), ("POST", "/v1/chat/completions", b"{}"),
          ("POST", "/v1/completions", b'{"prompt":1}'), ("GET", "/nothing", None),
          ("GET", "/v1/models/x", None), ("GET", "/v1/completions", None),
          ("POST", "/v1/embeddings", b"{}"), ("POST", "/v1/cache/warm_prefix", b"{}"),
          ("POST", "/tokenize", b"{}"), ("DELETE", "/mach/requests/x", None)]


def validator(name):
    schema = {"$ref": f"#/definitions/{name}", "definitions": SCHEMAS["definitions"]}
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


class Checker:
    def __init__(self, port):
        self.port = port
        self.checked = 0
        self.failures = 0

    def request(self, method, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        text = response.read().decode("utf-8")
        connection.close()
        return response.status, text

    def check(self, name, value, where):
        self.checked += 1
        for error in validator(name).iter_errors(value):
            self.failures += 1
            print(f"FAIL {name} {where}: {error.message} at {list(error.absolute_path)}")

    def whole(self, name, method, path, body=None, status=200):
        got, text = self.request(method, path, json.dumps(body).encode() if isinstance(body, dict) else body)
        if status is not None and got != status:
            self.failures += 1
            print(f"FAIL {method} {path} {body}: status {got}: {text}")
        self.check(name, json.loads(text), body)

    def stream(self, name, path, body):
        status, text = self.request("POST", path, json.dumps(body).encode())
        events = [part[len("data: "):] for part in text.split("\n\n") if part.startswith("data: ")]
        if status != 200 or not events or events[-1] != "[DONE]":
            self.failures += 1
            print(f"FAIL stream {body}: status {status}: {text[-300:]}")
            return
        chunks = [json.loads(event) for event in events[:-1]]
        for chunk in chunks:
            self.check(name, chunk, body)
        self.rules(name, chunks, body)

    def rules(self, name, chunks, body):
        """What schemas cannot say: one id, one end for each choice, usage once at the end."""
        wrong = []
        if len({chunk["id"] for chunk in chunks}) != 1:
            wrong.append("several ids")
        ends = [choice["index"] for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
        if len(ends) != len(set(ends)) or not ends:
            wrong.append(f"ends {ends}")
        options = body.get("stream_options", {})
        if options.get("include_usage"):
            if chunks[-1]["choices"] or not chunks[-1].get("usage"):
                wrong.append("the last event is not the usage")
        elif any(not chunk["choices"] for chunk in chunks):
            wrong.append("an event without choices")
        if name == "chat.completion.chunk":
            roles = [c["index"] for chunk in chunks for c in chunk["choices"] if "role" in c["delta"]]
            if sorted(roles) != list(range(body.get("n", 1))):
                wrong.append(f"roles {roles}")
        for message in wrong:
            self.failures += 1
            print(f"FAIL rules {name} {body}: {message}")


def run(checker):
    for chat in CHATS:
        body = {"model": "m", **{k: v for k, v in chat.items() if k != "content"},
                "messages": [{"role": "user", "content": chat.get("content", "hi")}]}
        checker.whole("chat.completion", "POST", "/v1/chat/completions", body)
        for more in STREAMED:
            checker.stream("chat.completion.chunk", "/v1/chat/completions", {**body, **more, "stream": True})
    for completion in COMPLETIONS:
        body = {"model": "m", "prompt": "hi", **completion}
        checker.whole("text_completion", "POST", "/v1/completions", body)
        for more in STREAMED:
            checker.stream("text_completion", "/v1/completions", {**body, **more, "stream": True})
    checker.whole("models", "GET", "/v1/models")
    checker.whole("model", "GET", "/v1/models/scripted")
    for method, path, body in ERRORS:
        checker.whole("error", method, path, body, status=None)


def main():
    server = subprocess.Popen([sys.argv[1], "serve", sys.argv[2]], stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().split()[-1]
        checker = Checker(int(url.split(":")[2].split("/")[0]))
        run(checker)
    finally:
        server.terminate()
        server.wait()
    print(f"{checker.checked} values checked, {checker.failures} failures")
    return 1 if checker.failures or checker.checked < 300 else 0


if __name__ == "__main__":
    sys.exit(main())
