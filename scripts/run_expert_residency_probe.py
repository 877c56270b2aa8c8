#!/usr/bin/env python3
"""Drives a running server and judges its statistics: `mach probe` under its documented name.

Usage: run_expert_residency_probe.py --url http://127.0.0.1:8080 [options of mach probe]

Exit status: that of mach probe, which `--help` tells.
"""
import sys

import mach_program

mach_program.become("run_expert_residency_probe.py", ["probe", *sys.argv[1:]])
