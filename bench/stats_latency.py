#!/usr/bin/env python3
"""How soon a server answers questions about itself while it generates.

    stats_latency.py [--port 8080] [--count 1000]

One client streams long completions without a pause; another one asks /health, /v1/cache/stats and
/v1/stats over one connection, every 5 ms. Prints the median, the 99th percentile and the maximum.
"""
import argparse
import http.client
import json
import threading
import time

PATHS = ("/health", "/v1/cache/stats", "/v1/stats")
PAUSE = 0.005  # seconds


def generate(port, stop, started):
    seed = 0
    while not stop.is_set():
        seed += 1
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        body = {"prompt": "Tell me a story about", "max_tokens": 4000, "temperature": 1,
                "seed": seed, "ignore_eos": True, "stream": True}
        connection.request("POST", "/v1/completions", json.dumps(body),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        started.set()
        while not stop.is_set() and answer.read1(4096):
            pass
        connection.close()


def ask(port, path, count):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        times.append(1e3 * (time.perf_counter() - begin))
        assert answer.status == 200, path
        time.sleep(PAUSE)
    return sorted(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--count", type=int, default=1000)
    args = parser.parse_args()
    stop, started = threading.Event(), threading.Event()
    client = threading.Thread(target=generate, args=(args.port, stop, started), daemon=True)
    client.start()
    if not started.wait(60):
        raise SystemExit("no generation began within a minute")
    for path in PATHS:
        times = ask(args.port, path, args.count)
        print(f"{path:16} median {times[len(times) // 2]:6.2f} ms   "
              f"99th percentile {times[len(times) * 99 // 100]:6.2f} ms   "
              f"most {times[-1]:6.2f} ms")
    stop.set()
    client.join(10)


if __name__ == "__main__":
    main()
