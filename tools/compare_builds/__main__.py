#!/usr/bin/env python3
"""Whether two builds of mach behave alike, byte by byte: evidence for a change of structure.

Usage: python3 tools/compare_builds OLD_MACH NEW_MACH MODEL_DIR [--allow PATTERN]... [--only STAGE]

  python3 tools/compare_builds /tmp/mach_before build/release/bin/mach models/mach-tiny

Both programs do the same, one after the other, in folders of the same name: command lines right
and wrong (command_lines.py), damaged checkpoints (tests/hostile), and servers under many settings
(settings.py) that are asked one corpus of requests (asks.py, bad_asks.py, scenes.py). Compared are
standard output and error, exit statuses, the files that are written, and of each answer status,
header fields and body; of a stream what its events say, not how they cut it. What two runs of one
program differ in is taken out first: varying.py lists it, with reasons. A program compared with
itself has no differences; one that is found there belongs into varying.py, or is a fault.

A difference is named WHAT: FIELD, with the first lines of a diff. --allow PATTERN permits those
whose name the regular expression is found in; they are counted apart. --only STAGE runs the stages
whose name the regular expression is found in. OLD_MACH makes the inputs, and says which options
and endpoints there are.

Not compared: speeds, memory that a process takes, `mach bench`, and what `mach probe` says of
speeds.

Exit status: 0 no differences but permitted ones, 1 differences. Python's standard library only.
"""
import argparse
import pathlib
import re
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(SOURCE / "tests/hostile"))

import differences  # noqa: E402
import passes  # noqa: E402


def report(found, allowed):
    """Prints the differences; how many of them are not permitted, and how many are."""
    counts = [0, 0]
    for name, diff in found:
        permitted = any(re.search(pattern, name) for pattern in allowed)
        counts[permitted] += 1
        if not permitted:
            print(f"{name}\n    " + diff.replace("\n", "\n    "), flush=True)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old_mach", type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("new_mach", type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("model", type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("--allow", metavar="PATTERN", action="append", default=[])
    parser.add_argument("--only", metavar="STAGE", default="")
    options = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="compare_builds") as made:
        place = passes.Place(pathlib.Path(made), SOURCE, options.model, options.old_mach)
        old, new = (place.run(mach, options.only) for mach in (options.old_mach, options.new_mach))
    counts = {kind: len(results) for kind, results in old.items()}
    found = [one for kind in old for one in differences.compared(old[kind], new[kind])]
    different, permitted = report(found, options.allow)
    print(f"{counts['commands']} commands, {counts['checkpoints']} damaged checkpoints, "
          f"{counts['requests']} requests, {counts['settings']} settings: {different} differences"
          f"{f', {permitted} permitted' if options.allow else ''}"
          f" ({time.monotonic() - begun:.0f} s)")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
