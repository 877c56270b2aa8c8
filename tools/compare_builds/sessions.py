"""A server under one setting: what it says at the start, to each request, and at the end."""
import json
import socket

import asks
import client
import folders
import running
import streams
import varying


def openapi(mach, folder, logs):
    server = running.Server([mach, "serve", "models/mach-tiny", "--no-streaming", "--port", "0"],
                            folder, {}, logs)
    server.wait_until_ready()
    with client.Connection(server.port) as connection:
        connection.send(asks.get("/openapi.json").data)
        document = json.loads(connection.answer().body)
    server.end()
    return document


def run(mach, setting, folder, logs):
    """(what, {field: text}) of each request, of what else is tried out, and of the server. Of one
    that does not serve, the last alone."""
    session = Session(mach, setting, folder, logs)
    name = f"serve [{setting.name}]"
    results = []
    serves = session.server.port is not None
    try:
        for number, ask in enumerate(setting.asked if serves else []):
            if (ask.tells_state or setting.rests) and not setting.early:
                session.server.wait_for_rest()
            results.append((f"{name} {number} {ask.what}", session.answered(ask, f"ask-{number}")))
        if setting.early:
            session.server.wait_until_ready()
        for scene in setting.scenes if serves else []:
            results += [(f"{name} {what}", found) for what, found in scene(session)]
    finally:
        ended = session.server.end()
    results.append((name, session.settle.ended(ended)))
    if setting.folder:
        results.append((f"{name} files", folders.described(folder / setting.folder)))
    return results


class Session:
    def __init__(self, mach, setting, folder, logs):
        self.mach, self.setting, self.folder = mach, setting, folder
        port = _free_port() if setting.early else 0
        self.server = running.Server([mach, "serve", *setting.options.split(), "--port",
                                      str(port)], folder,
                                     setting.environment, logs)
        if setting.early:
            self.server.wait_until_it_listens(port)
        else:
            self.server.wait_until_ready()
        self.settle = varying.Settled(setting.tags, self.server.port)

    def answered(self, ask, request_id):
        """{field: text} of the answers to one request, on a connection of its own."""
        try:
            return self._answered(ask, request_id)
        except OSError as error:
            return {"status": f"no answer: {type(error).__name__}"}

    def _answered(self, ask, request_id):
        line, end, rest = ask.data.partition(b"\r\n")
        if line.endswith(b" HTTP/1.1"):
            more = [f"x-request-id: {request_id}", *self.setting.fields]
            rest = "".join(f"{field}\r\n" for field in more).encode() + rest
        found = {}
        with client.Connection(self.server.port) as connection:
            connection.send(line + end + rest)
            if ask.half_close:
                connection.half_close()
            for number in range(ask.answers):
                told = self.told(connection.answer(ask.head_only))
                found |= {field + f" {number + 1}" * bool(number): text
                          for field, text in told.items()}
        return found

    def told(self, answer):
        if answer is None:
            return {"status": "closed without an answer"}
        names = varying.Names()
        body = self._body(answer, names)
        heads = []
        for line in answer.lines[1:]:
            name, _, value = line.partition(":")
            if name.lower() == "date":
                line = f"{name}: <time>"
            elif name.lower() == "content-length" and int(value) == len(answer.body):
                line = f"{name}: <that of the body>"  # durations are not always as long
            heads.append(self.settle.text(line, names))
        found = {"status": answer.lines[0], "headers": "\n".join(heads), "body": body}
        if answer.more:
            found["behind the answer"] = answer.more.decode("utf-8", "backslashreplace")
        return found

    def _body(self, answer, names):
        text = answer.body.decode("utf-8", "backslashreplace")
        kind = answer.field("content-type")
        try:
            if kind.startswith("text/event-stream"):
                return names.numbered(streams.settled(text, self.settle))
            if kind.startswith("application/json"):
                return names.numbered(self.settle.json_text(text))
        except ValueError as error:
            return f"not what its type says: {error}: {text}"
        if kind.startswith("text/plain"):
            return self.settle.metrics_text(text)
        return self.settle.text(text, names)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
