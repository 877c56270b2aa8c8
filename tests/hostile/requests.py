#!/usr/bin/env python3
"""Bad and odd requests, from a seed, to a running server: it lives, answers in time, in HTTP and in
its own words, and never with 200 to what is known to be wrong.

Usage: requests.py [--seed N] [--count N] [--first N | --only N] [--seconds N] -- SERVER ...

SERVER is started as given (`mach serve MODEL --port 0`, `scripted_server serve FILE`) and prints
"serving on URL". A case depends on the seed and its number alone; --only N repeats one and prints
what was sent and answered. All of them, as a release runs them:

  tests/hostile/requests.py --count 10000 --seconds 8 -- build/release/bin/mach serve \\
    models/mach-tiny --no-streaming --ctx-size 1024 --port 0 --log-level error

Exit status: 0, or 1 where a case failed. Python's standard library only.
"""
import argparse
import collections
import random
import subprocess
import sys
import tempfile
import time

import cases_chat
import cases_fields
import cases_wire
import odd_values
import wire
from case import OWN_FAULTS, Api, post

KINDS = [*cases_fields.KINDS, *cases_chat.KINDS, *cases_wire.KINDS]
MOST_RESIDENT = 1 << 30  # bytes of the server
# Errors of the server itself, which no request may cause; they end a stream that began with 200.
FAULTS = {"io", "corrupt", "no_memory", "non_finite", "internal"}
GOOD_EVERY = 50
PATIENCE = 0.3  # seconds until an answer to a whole request is overdue, and its client half closes


class Failure(Exception):
    pass


def generate(api, seed, number):
    chance = random.Random(f"{seed}:{number}")
    [kind] = chance.choices([kind for _, kind in KINDS], [weight for weight, _ in KINDS])
    case = kind(chance, api)
    case.what = f"{kind.__name__}: {case.what}"
    return case


class Server:
    def __init__(self, arguments, seconds):
        self.seconds = seconds
        self.log = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=self.log,
                                        text=True)
        for line in self.process.stdout:
            if line.startswith("serving on "):
                self.port = int(line.split(":")[2].split("/")[0])
                break
        else:
            sys.exit(f"{arguments}: status {self.process.wait()} before it served\n{self.said()}")
        document = self.ask(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.api = Api.read(document.json())
        self.good = None

    def ask(self, request):
        with wire.Connection(self.port, self.seconds) as connection:
            connection.send(request)
            answer = connection.answer()
        if answer is None:
            raise Failure("a good request has no answer")
        return answer

    def check_good(self):
        """A good request has the answer that it had at first."""
        body = {"messages": [{"role": "user", "content": "Who are you?"}], "max_tokens": 12,
                "temperature": 0}
        answer = self.ask(post("/v1/chat/completions", odd_values.dump(body)))
        if answer.status != 200:
            raise Failure(f"a good request gets {answer.status}: {answer.body[:300]!r}")
        text = answer.json()["choices"][0]["message"]["content"]
        self.good = self.good or text
        if not text or text != self.good:
            raise Failure(f"a good request gets {text!r}, at first {self.good!r}")

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) << 10
        return 0

    def said(self):
        """The end of its log."""
        self.log.seek(0)
        return self.log.read()[-3000:]

    def alive(self):
        return self.process.poll() is None

    def end(self):
        self.process.terminate()
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure("the server does not end") from None


def check_error(answer):
    error = answer.json()
    inner = error.get("error") if isinstance(error, dict) else None
    if not isinstance(inner, dict) or not {"message", "type", "param", "code"} <= inner.keys():
        raise Failure(f"an error of another shape: {answer.body[:300]!r}")
    if not all(isinstance(inner[name], str) and inner[name] for name in ("message", "type",
        "code")):
        raise Failure(f"an error without message, type or code: {answer.body[:300]!r}")
    if not isinstance(inner["param"], (str, type(None))):
        raise Failure(f"a param that is no string: {answer.body[:300]!r}")


def check_answer(answer, head_only):
    """One answer by itself."""
    if answer.status >= 500 and answer.status not in OWN_FAULTS:
        raise Failure(f"status {answer.status}: {answer.body[:500]!r}")
    if head_only or answer.status == 204:
        return
    if answer.status >= 400:
        check_error(answer)
    elif answer.field(b"content-type").startswith("application/json"):
        answer.json()
    elif answer.field(b"content-type").startswith("text/event-stream"):
        for event in wire.events(answer.body):
            if isinstance(event, dict) and event.get("error", {}).get("code") in FAULTS:
                raise Failure(f"an error in a stream: {event}")


def exchange(case, connection):
    """Sends and reads; the statuses of all answers."""
    for part in case.parts:
        connection.send(part)
        if connection.cut:
            break
    if case.end == "reset":
        connection.reset()
        return []
    if case.end == "half_close":
        connection.wait(PATIENCE)
    if case.end != "read":
        connection.half_close()
    answers = []
    while True:
        try:
            answer = connection.answer(case.head_only)
        except wire.Malformed:
            if connection.cut or case.cancels:  # what was under way when the connection was reset
                break
            raise
        if answer is None:
            break
        check_answer(answer, case.head_only)
        answers.append(answer)
        if case.end == "read" or len(answers) > 100:
            break
        if len(answers) > 1 and not case.more:
            raise Failure(f"{len(answers)} answers to one request")
    return answers


def run_case(server, case, show):
    with wire.Connection(server.port, server.seconds) as connection:
        answers = exchange(case, connection)
        if show:
            for answer in answers:
                print(f"answer: {answer.status} {answer.body[:2000]!r}")
        if not answers:
            if not case.silent and not connection.cut and case.end != "reset":
                raise Failure("no answer")
            return None
        first = answers[0]
        if case.statuses is not None and first.status not in case.statuses:
            raise Failure(f"status {first.status} to what is known to be otherwise: "
                          f"{first.body[:300]!r}")
        return first.status


def run(server, options, numbers):
    """The numbers of the cases that failed."""
    seen, failed, slowest = collections.Counter(), [], (0, None)
    for done, number in enumerate(numbers):
        case = generate(server.api, options.seed, number)
        if options.only is not None:
            print(f"case {number}: {case.what}, then {case.end}; "
                  f"answers {case.statuses and sorted(case.statuses)}")
            for part in case.parts[:20]:
                print(f"sends {len(part)} bytes: {part[:4000]!r}")
        begun = time.monotonic()
        try:
            seen[run_case(server, case, options.only is not None)] += 1
            if done % GOOD_EVERY == GOOD_EVERY - 1 or number == numbers[-1]:
                server.check_good()
                if server.resident_bytes() > MOST_RESIDENT:
                    raise Failure(f"{server.resident_bytes()} bytes resident")
        except (Failure, wire.Malformed, wire.Late, OSError) as error:
            failed.append(number)
            print(f"FAIL case {number} (--seed {options.seed} --only {number}): {case.what[:200]}\n"
                  f"  {type(error).__name__}: {error}\n  sent {case.parts[0][:600]!r}", flush=True)
            if not server.alive():
                print(f"  the server ended: {server.process.returncode}\n{server.said()}")
                break
        slowest = max(slowest, (time.monotonic() - begun, number), key=lambda pair: pair[0])
    print(f"statuses {dict(sorted(seen.items(), key=str))}; server "
          f"{server.resident_bytes() >> 20} MiB at most; slowest {slowest[0]:.2f} s "
          f"(case {slowest[1]})")
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--seconds", type=float, default=20, help="for one case")
    parser.add_argument("server", nargs="+")
    options = parser.parse_args()
    numbers = range(options.first, options.first + options.count)
    if options.only is not None:
        numbers = range(options.only, options.only + 1)
    server = Server(options.server, options.seconds)
    try:
        server.check_good()
        failed = run(server, options, numbers)
    finally:
        code = server.end() if server.alive() else server.process.returncode
    if code not in (0, 143):
        print(f"FAIL the server's exit status is {code}")
        failed.append(None)
    print(f"{len(numbers)} requests of seed {options.seed}, {len(failed)} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
