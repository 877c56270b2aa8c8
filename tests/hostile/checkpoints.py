#!/usr/bin/env python3
"""Damaged checkpoints, from a seed: no signal, no hang, bounded memory, and success only where a
strict second reader (strict_*.py) finds nothing wrong.

Usage: checkpoints.py MACH SOURCE_DIR [--seed N] [--count N] [--first N | --only N] [--seconds N]
                      [--keep DIRECTORY]

Each case damages a small checkpoint, and asks `mach check`, `mach generate` and, one time in
twenty, `mach serve`. A case depends on the seed and its number alone; --only N repeats one and
prints what was said; --keep leaves its checkpoint there. All of them, as a release runs them:

  tests/hostile/checkpoints.py build/release/bin/mach . --count 5000

Exit status: 0, or 1 where a case failed. Python's standard library only.
"""
import argparse
import collections
import json
import pathlib
import random
import shutil
import sys
import tempfile
import time

import bases
import damage
import damage_weights
import limited
import outputs
import strict_config
import strict_tokenizer
import strict_weights
import wire
from case import post

KINDS = [*damage.KINDS, *damage_weights.KINDS]
MOST_RESIDENT = 1 << 30
SERVE_EVERY = 20
# What a message says of a fault of ours, a sanitizer's reports included.
OWN_FAULTS = ("CHECK", "internal", "bad_alloc", "Sanitizer", "runtime error:")
OPTIONS = ["--no-streaming", "--target-only", "--threads", "1", "--log-level", "error"]
TOKENS = 4
CHAT = json.dumps({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 2,
                   "temperature": 0})


class Failure(Exception):
    pass


def make(copy_of, seed, number, directory):
    """The damaged copy, and what was done to it."""
    chance = random.Random(f"{seed}:{number}")
    base = copy_of[chance.choice(sorted(copy_of))]
    copy = damage.Copy(base, directory)
    said = ""
    while not said:
        [kind] = chance.choices([kind for _, kind in KINDS], [weight for weight, _ in KINDS])
        said = kind(chance, copy)
        if said and chance.random() < 0.1:  # twice
            said, copy.more = "", copy.more + said + "; "
    return copy, f"{base.name}: {copy.more}{said}", chance.random() < 1 / SERVE_EVERY


def read_config(directory):
    return strict_config.Config(strict_config.read(directory / "config.json"))


def judge(copy):
    """("good" | "wrong" | "open", why): what the strict reader says."""
    try:
        config = read_config(copy.path)
        strict_config.check_generation(copy.path / "generation_config.json", config)
        strict_weights.Weights(config, strict_weights.tensors(copy.path))
        parts = strict_tokenizer.check_tokenizer(copy.path / "tokenizer.json",
                                                 config.sizes["vocab_size"])
        strict_tokenizer.check_tokenizer_config(copy.path / "tokenizer_config.json")
    except strict_config.Wrong as error:
        return ("open" if strict_config.differs(copy.path) else "wrong"), str(error)
    if copy.poisoned:
        return "wrong", "weights that are not finite"
    known = bases.tokenizer()
    if any(part != known.get(name) for name, part in parts.items()) or config.open:
        return "open", ""
    if copy.template or copy.odd_numbers or strict_config.differs(copy.path):
        return "open", ""
    return "good", ""


def sane(what, ended):
    """What holds of every run."""
    if ended.late:
        raise Failure(f"{what} does not end: {ended.err[-300:]}")
    if ended.status < 0:
        raise Failure(f"{what} ends by signal {-ended.status}: {ended.err[-1000:]}")
    if ended.resident > MOST_RESIDENT:
        raise Failure(f"{what} takes {ended.resident >> 20} MiB")
    if ended.status and not (ended.err.strip() or ended.out.strip()):
        raise Failure(f"{what} ends with {ended.status} and no word")
    if any(word in ended.err for word in OWN_FAULTS):
        raise Failure(f"{what}: {ended.err[-500:]}")


def check_generate(ended):
    """The tokens; None where it failed."""
    if ended.status not in (0, 1):
        raise Failure(f"generate ends with {ended.status}: {ended.err[-300:]}")
    if ended.status:
        if ended.out.strip():
            raise Failure(f"generate fails, and says {ended.out[:200]!r}")
        return None
    answer = wire.strict_json(ended.out.encode())
    if not answer["tokens"] and answer["finish_reason"] != "stop":
        raise Failure(f"generate says {answer}")
    return answer["tokens"]


def check_check(ended, loads, copy):
    """`check` refuses what the load refuses, and nothing else."""
    try:
        problem = wire.strict_json(ended.out.encode()).get("text_problem") if ended.out else ""
    except wire.Malformed as error:
        raise Failure(f"check: {error}") from None
    refuses = ended.status != 0 or bool(problem)
    if loads and refuses:
        raise Failure(f"check refuses what loads: status {ended.status}, {problem}"
                      f"{ended.err[-300:]}")
    # Headers alone do not show numbers, nor what a template does.
    if not loads and not refuses and not (copy.poisoned or copy.odd_numbers or copy.template):
        raise Failure("check accepts what does not load")


def check_serve(mach, copy, loads, seconds):
    child = limited.Child([mach, "serve", copy.path, *OPTIONS, "--port", "0"])
    status = None
    try:
        if not child.wait(seconds, lambda: "serving on " in child.said()):
            raise Failure("serve neither serves nor ends")
        if child.running():
            port = int(child.said().split("serving on ")[1].split(":")[2].split("/")[0])
            with wire.Connection(port, seconds) as connection:
                connection.send(post("/v1/chat/completions", CHAT, ["Connection: close"]))
                answer = connection.answer()
            if answer is None:
                raise Failure("serve closes without an answer")
            status = answer.status
            if status >= 500 and answer.json()["error"]["code"] != "non_finite":
                raise Failure(f"serve answers {status}: {answer.body[:300]!r}")
            answer.json()
    finally:
        ended = child.end(seconds=seconds)
    sane("serve", ended)
    if (status == 200) != loads and not copy.template:
        raise Failure(f"serve answers {status}, generate {'succeeds' if loads else 'fails'}: "
                      f"{ended.err[-300:]}")
    return ended


def run_case(computes, copy, serve, say):
    """What became of it, for the summary."""
    mach, seconds = computes.mach, computes.seconds
    check = limited.run([mach, "check", copy.path, "--json", "--target-only", "--threads", "1"],
                        seconds)
    generate = limited.run([mach, "generate", copy.path, *OPTIONS, "--prompt", "hello",
                            "--max-tokens", TOKENS,
                            "--temperature", "0", "--json"], seconds)
    verdict, why = judge(copy)
    if say:
        print(f"reader: {verdict} {why}\ncheck: {check}\ngenerate: {generate}")
    sane("check", check)
    sane("generate", generate)
    tokens = check_generate(generate)
    loads = tokens is not None
    if loads and verdict == "wrong":
        raise Failure(f"generate succeeds, although {why}")
    if not loads and verdict == "good":
        raise Failure(f"generate fails, and the strict reader finds nothing: {generate.err[-300:]}")
    check_check(check, loads, copy)
    resident = max(check.resident, generate.resident)
    slowest = max(check.seconds, generate.seconds)
    if serve:
        ended = check_serve(mach, copy, loads, seconds)
        resident = max(resident, ended.resident)
    if loads and verdict == "good":
        computes.check(copy, read_config(copy.path), read_config)
    return f"{verdict}, {'succeeds' if loads else 'fails'}", resident, slowest


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mach")
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--seconds", type=float, default=20, help="for one run of mach")
    parser.add_argument("--keep", type=pathlib.Path)
    options = parser.parse_args()
    numbers = range(options.first, options.first + options.count)
    if options.only is not None:
        numbers = range(options.only, options.only + 1)
    seen, failed, most, slowest = collections.Counter(), 0, 0, (0, None)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        made = bases.make(options.mach, options.source.resolve(), work)
        computes = outputs.Outputs(options.mach, work, options.seconds)
        for number in numbers:
            directory = pathlib.Path(work) / "case"
            copy, said, serve = make(made, options.seed, number, directory)
            if options.only is not None:
                print(f"case {number}: {said}")
            try:
                what, resident, seconds = run_case(computes, copy, serve,
                                                   options.only is not None)
                seen[what] += 1
                most, slowest = max(most, resident), max(slowest, (seconds, number))
            except (Failure, outputs.Differs, wire.Malformed, wire.Late, OSError) as error:
                failed += 1
                print(f"FAIL case {number} (--seed {options.seed} --only {number}): {said[:300]}\n"
                      f"  {type(error).__name__}: {error}", flush=True)
            if options.keep and options.only is not None:
                shutil.copytree(directory, options.keep, symlinks=True)
            shutil.rmtree(directory)
    print(f"{dict(sorted(seen.items()))}; {most >> 20} MiB at most; slowest {slowest[0]:.2f} s "
          f"(case {slowest[1]})")
    print(f"{len(numbers)} checkpoints of seed {options.seed}, {failed} failures, "
          f"{time.monotonic() - begun:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
