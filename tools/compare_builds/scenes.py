"""What takes more than one request at a time."""
import json
import time

import asks
import client
import running

LONG = asks.chat("Hello", max_tokens=6000, ignore_eos=True, stream=True)
BEGUN = 4000  # bytes of a stream: the generation runs


def busy(session):
    """A generation runs; others are refused, it is cancelled, and another one's client leaves."""
    with client.Connection(session.server.port) as running_one:
        running_one.send(LONG.data.replace(b"\r\n", b"\r\nx-request-id: long\r\n", 1))
        running_one.begin_of_body(BEGUN)
        for ask in (asks.get("/mach/requests"), asks.get("/health"), asks.chat("Hello"),
                    asks.chat("Hello", stream=True), asks.complete("A heron is", n=2),
                    asks.get("/mach/requests/other", method="DELETE"),
                    asks.get("/mach/requests/long", method="DELETE")):
            yield f"under a generation {ask.what}", session.answered(ask, "short")
        yield "a cancelled stream", _ending(running_one.answer())
    with client.Connection(session.server.port) as leaving:
        leaving.send(LONG.data)
        leaving.begin_of_body(BEGUN)
    end = time.monotonic() + client.SECONDS
    while time.monotonic() < end:
        with client.Connection(session.server.port) as connection:
            connection.send(asks.get("/health").data)
            if json.loads(connection.answer().body)["running"] == 0:
                break
    yield ("counts after one was cancelled and one left",
           session.answered(asks.get("/v1/stats"), "then"))


def told_to_end(session):
    """The server is told to end under a generation."""
    with client.Connection(session.server.port) as connection:
        ask = asks.chat("Hello", max_tokens=300, ignore_eos=True, stream=True)
        connection.send(ask.data)
        connection.begin_of_body(BEGUN)
        session.server.terminate()
        yield "a stream while the server ends", session.told(connection.answer())


def probe(session):
    for more in ([], ["--json"], ["--api-key-file", "keys"], ["--api-key-file", "open_keys"]):
        words = ["probe", "--url", f"http://127.0.0.1:{session.server.port}/v1", "--requests", "1",
                 "--max-tokens", "4", *more]
        ended = running.run([session.mach, *words], session.folder, {}, b"")
        yield " ".join(["mach probe", *more]), session.settle.ended(ended)


def _ending(answer):
    events = answer.body.decode().rstrip("\n").split("\n\n")
    return {"status": answer.lines[0], "last events": "\n".join(events[-2:])}
