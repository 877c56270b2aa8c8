#!/usr/bin/env python3
"""Serves a checkpoint in production mode: `mach serve` that starts on no slow path.

Usage: serve_production.py CHECKPOINT --streaming|--no-streaming [options of mach serve]

Everything is passed on to `mach serve`, whose process and exit status it becomes. What production
excludes is refused with status 2: the diagnostic switch, as an option or in the environment.
"""
import os
import sys

import mach_program

NAME = "serve_production.py"
SWITCH = "--allow-diagnostic-fallback"
VARIABLES = ("LME_ALLOW_DIAGNOSTIC_FALLBACK", "LME_ALLOW_DIAGNOSTIC_PYTHON_FALLBACK")


def main():
    for argument in sys.argv[1:]:
        if argument == "--":
            break
        if argument == SWITCH or argument.startswith(SWITCH + "="):
            mach_program.fail(NAME, f"{SWITCH} starts on slow paths, which production excludes; "
                                    "leave it out, or use 'mach serve'", 2)
    for variable in VARIABLES:
        value = os.environ.get(variable, "")
        if value not in ("", "0"):
            mach_program.fail(NAME, f"{variable} is '{value}', expected 0 or nothing: it starts on "
                                    "slow paths, which production excludes; unset it, or use "
                                    "'mach serve'", 2)
    mach_program.become(NAME, ["serve", *sys.argv[1:]])


main()
