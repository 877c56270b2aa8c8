#!/usr/bin/env python3
"""Which functions of a built program use which vector instructions.

The program chooses kernels for the processor while it runs, so an instruction beyond the x86-64
baseline (SSE2) may occur only in a function of the namespace of the target that has it, and that
namespace may be entered only after the target was found: by a pointer of its kernel table. A call of
a target's function by its name is one that no choice of a table guards. This test reads the
disassembly of the whole program, so it also sees what a compiler adds: table fills that became
vector moves, static initialisers, inline functions that were compiled for a target and merged by the
linker.

Usage: instruction_sets.py PROGRAM [--objdump OBJDUMP]
Exit status: 0 when every instruction is where it may be, 1 when one is not, 77 (skipped) when the
program is not for x86-64 or there is no objdump. Standard library only.
"""
import argparse
import collections
import functools
import re
import shutil
import subprocess
import sys

# Extensions by what their instructions look like: a mnemonic or a register.
MNEMONICS = {
    # VEX and EVEX mnemonics begin with v; these few of the baseline do, too.
    "avx": r"v(?!err$|erw$|mcall$|mlaunch$|mresume$|mxoff$|mread$|mwrite$|mptrld$|mptrst$|mclear$)",
    "avx512vnni": r"vpdp(busds?|wssds?)$",
    "avx512vbmi": r"(vpermb|vperm[it]2b|vpmultishiftqb|vpcompress[bw]|vpexpand[bw]"
                  r"|vpsh[lr]dv?[wdq]|vpopcnt[bwdq]|vpshufbitqmb|vgf2p8\w*|vpclmulqdq|vaes\w+)$",
    "avx512mask": r"k(mov|and|andn|or|xor|xnor|not|add|shift[lr]|test|ortest|unpck)[bwdq]",
    "amx": r"(tdp|tile|ldtilecfg|sttilecfg)",
    "bmi": r"(andn|bextr|blsi|blsmsk|blsr|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx)$",
    "popcnt": r"(popcnt|lzcnt|movbe\w*|crc32\w*)$",
    "ssse3": r"(pshufb|palignr|phadd\w+|phsub\w+|pmaddubsw|pmulhrsw|psign[bwd]|pabs[bwd])$",
    "sse3": r"(addsub[ps][sd]|h(add|sub)p[sd]|lddqu|movddup|movs[hl]dup|fisttp\w*)$",
    "sse4": r"(blendv?p[sd]|pblendv?[wb]|dpp[sd]|extractps|insertps|pextr[bdq]|pinsr[bdq]"
            r"|movntdqa|mpsadbw|packusdw|pcmp(eq|gt)q|pcmp[ei]str[im]|phminposuw|pm(ax|in)(s[bd]|u[wd])"
            r"|pmov[sz]x\w+|pmuldq|pmulld|ptest|round[ps][sd])$",
}
OPERANDS = {
    "avx512regs": r"%zmm|%[xy]mm(1[6-9]|2\d|3[01])|%k[0-7]|\{%k|\{z\}|\{1to",
    "amx": r"%tmm",
}
# What AVX-VNNI alone has: the compiler writes it where a target names avxvnni, and processors with
# AVX-512 VNNI (Ice Lake, Zen 4) stop at it.
VEX_CODED = "avxvnni"

BASE = {"sse3", "ssse3", "sse4", "popcnt", "bmi", "avx"}
ALLOWED = {  # by target namespace
    "N_AVX2": BASE,
    "N_AVX3": BASE | {"avx512regs", "avx512mask"},
    "N_AVX3_DL": BASE | {"avx512regs", "avx512mask", "avx512vnni", "avx512vbmi"},
}
NAMESPACE = re.compile(r"\bN_[A-Z0-9_]+\b")
CALLED = re.compile(r"<(.*)>$")  # the operand of a direct call or jump
ENTERED = "entered by name"


@functools.cache
def kinds_of_mnemonic(mnemonic):
    return frozenset(name for name, pattern in MNEMONIC_RE.items() if pattern.match(mnemonic))


def kinds(mnemonic, operands):
    found = kinds_of_mnemonic(mnemonic)
    if "mm" in operands or "%k" in operands:
        found = found | {name for name, pattern in OPERAND_RE.items() if pattern.search(operands)}
    return found


MNEMONIC_RE = {name: re.compile(pattern) for name, pattern in MNEMONICS.items()}
OPERAND_RE = {name: re.compile(pattern) for name, pattern in OPERANDS.items()}
PREFIXES = {"rep", "repz", "repnz", "lock", "bnd", "notrack", "data16", "cs", "ds", "es", "fs", "gs",
            "rex.W", "rex"}


def disassembly(objdump, program):
    """Yields (function, mnemonic, operands)."""
    function = "?"
    header = re.compile(r"^[0-9a-f]+ <(.*)>:$")
    with subprocess.Popen([objdump, "-d", "-C", "--no-show-raw-insn", program],
                          stdout=subprocess.PIPE, text=True, errors="replace") as process:
        for line in process.stdout:
            if (match := header.match(line)) is not None:
                function = match.group(1)
                continue
            parts = line.split("\t", 1)
            if len(parts) < 2:
                continue
            words = parts[1].split()
            while words and words[0] in PREFIXES:
                words.pop(0)
            if not words:
                continue
            if words[0] in ("{vex}", "{vex3}"):
                yield function, VEX_CODED, " ".join(words)
            else:
                yield function, words[0], " ".join(words[1:])
    if process.returncode != 0:
        sys.exit(f"{objdump} {program}: exit status {process.returncode}")


@functools.cache
def namespace_of(function):
    match = NAMESPACE.search(function)
    return match.group(0) if match else ""


def judge(instructions):
    """(instructions by target namespace, {(function, kind): (times, example)})."""
    counts = collections.Counter()
    wrong = {}
    for function, mnemonic, operands in instructions:
        namespace = namespace_of(function)
        counts[namespace] += 1
        if mnemonic[0] in "cj" and "N_" in operands and (match := CALLED.search(operands)):
            callee = namespace_of(match.group(1))
            found = {ENTERED} if callee not in ("", namespace) else set()
        else:
            found = {VEX_CODED} if mnemonic == VEX_CODED else kinds(mnemonic, operands)
        if not found:
            continue
        for kind in found - ALLOWED.get(namespace, set()):
            times, example = wrong.get((function, kind), (0, f"{mnemonic} {operands}"))
            wrong[function, kind] = (times + 1, example)
    return counts, wrong


def check_judge():
    """The judge finds what it is for: one instruction of each kind, in and out of its place."""
    scalar, avx2, avx3, dl = "mach::f()", "a::N_AVX2::f()", "a::N_AVX3::f()", "a::N_AVX3_DL::f()"
    cases = [
        (scalar, "movaps", "%xmm0,%xmm1", True), (scalar, "tzcnt", "%rax,%rax", True),
        (scalar, "vmovups", "%zmm0,(%rax)", False), (scalar, "vmovdqu", "%ymm0,(%rax)", False),
        (scalar, "vmovd", "%eax,%xmm0", False), (scalar, "kmovd", "%eax,%k1", False),
        (scalar, "shlx", "%rax,%rbx,%rcx", False), (scalar, "pshufb", "%xmm0,%xmm1", False),
        (scalar, "pmulld", "%xmm0,%xmm1", False), (scalar, "popcnt", "%rax,%rax", False),
        (avx2, "vfmadd231ps", "%ymm0,%ymm1,%ymm2", True), (avx2, "vmovups", "%ymm17,%ymm0", False),
        (avx2, "vaddps", "%zmm0,%zmm1,%zmm2", False), (avx2, "vpdpbusd", "%ymm0,%ymm1,%ymm2", False),
        (avx3, "vaddps", "%zmm0,%zmm1,%zmm2{%k1}", True),
        (avx3, "vpdpbusd", "%zmm0,%zmm1,%zmm2", False), (avx3, "vpermb", "%zmm0,%zmm1,%zmm2", False),
        (dl, "vpdpbusd", "%zmm0,%zmm1,%zmm2", True), (dl, VEX_CODED, "{vex} vpdpbusd %ymm0", False),
        (dl, "tdpbusd", "%tmm0,%tmm1,%tmm2", False), ("N_SSE4::f()", "pshufb", "%xmm0", False),
        (scalar, "call", f"10 <{avx3}>", False), (scalar, "jmp", f"10 <{avx2}+0x7>", False),
        (avx3, "call", f"10 <{dl}>", False), (avx3, "jne", f"10 <{avx3}+0x7>", True),
        (avx3, "call", f"10 <{scalar}>", True), (scalar, "call", "*0x10(%rax)", True),
    ]
    for function, mnemonic, operands, right in cases:
        _, wrong = judge([(function, mnemonic, operands)])
        assert (not wrong) == right, (function, mnemonic, operands, wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--objdump", default="objdump")
    arguments = parser.parse_args()
    check_judge()
    if shutil.which(arguments.objdump) is None:
        print(f"skipped: there is no {arguments.objdump} (package binutils)")
        return 77
    headers = subprocess.run([arguments.objdump, "-f", arguments.program], capture_output=True,
                             text=True, check=True).stdout
    if "x86-64" not in headers:
        print("skipped: the program is not for x86-64")
        return 77
    counts, wrong = judge(disassembly(arguments.objdump, arguments.program))
    for namespace, count in sorted(counts.items()):
        print(f"{namespace or 'baseline':10} {count:8} instructions")
    missing = [name for name in ALLOWED if counts[name] == 0]
    if missing:
        print(f"no function of {', '.join(missing)} was found: is the program stripped?")
        return 1
    for (function, kind), (times, example) in sorted(wrong.items()):
        print(f"{kind}: {times} in {function}, such as: {example}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
