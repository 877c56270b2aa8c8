#!/usr/bin/env python3
"""Writes the expert sidecar of a checkpoint: `mach export-sidecar` under its documented options.

Usage: export_expert_sidecar.py --checkpoint DIRECTORY [--output DIRECTORY] [--num-experts N]
                                [--bits keep|4|8|16] [--jobs N]

--num-experts says how many experts a layer of the checkpoint has, --bits what their weights have
(16-bit ones are quantized to 4 or 8). Where the checkpoint has other numbers, both are named and
nothing is written. Exit status: 0 written, 1 failure, 2 wrong usage, 143 interrupted (the same
command goes on with it).
"""
import sys

import mach_program

NAME = "export_expert_sidecar.py"


def main():
    checkpoint = None
    rest = []
    arguments = iter(sys.argv[1:])
    for argument in arguments:
        if argument in ("-h", "--help"):
            print(__doc__)
            return
        option, equals, value = argument.partition("=")
        if option != "--checkpoint":
            rest.append(argument)
            continue
        if checkpoint is not None:
            mach_program.fail(NAME, "--checkpoint is given twice, expected once", 2)
        checkpoint = value if equals else next(arguments, "")
        if not checkpoint:
            mach_program.fail(NAME, "--checkpoint is empty, expected a directory", 2)
    if checkpoint is None:
        mach_program.fail(NAME, "--checkpoint is missing, expected --checkpoint DIRECTORY; "
                                "--help tells the rest", 2)
    if checkpoint.startswith("-"):
        checkpoint = "./" + checkpoint  # a directory all the same
    mach_program.become(NAME, ["export-sidecar", *rest, checkpoint])


main()
