"""How servers are started, and what each is asked."""
import dataclasses
import pathlib

import asks
import bad_asks
import scenes

TINY, DENSE = "models/mach-tiny", "models/dense"
KEYS = "keys"  # a file with the key "right"
# Without these, numbers follow from what the machine has free, and from a measurement.
BOUND = "--threads 2 --wired-gb 2"


@dataclasses.dataclass
class Setting:
    name: str
    options: str
    asked: list = ()       # of Ask
    tags: tuple = ()       # of what varies under it, see varying.py
    environment: dict = dataclasses.field(default_factory=dict)
    fields: tuple = ()     # of every request
    folder: pathlib.PurePath = None  # that it writes, compared at the end
    rests: bool = False    # is asked when at rest: what a disk has not taken in time is dropped
    early: bool = False    # is asked while it loads
    scenes: tuple = ()     # of scenes.py, played at the end


def settings(document):
    """document: what GET /openapi.json says."""
    paths = sorted(document["paths"])
    generations = [*asks.chats(), *asks.tools(), *asks.completions(), *asks.states()]
    some = [*asks.chats()[::4], *asks.tools()[::4], *asks.completions()[::4], *asks.states()]
    resident, alone = f"{TINY} --no-streaming", f"{TINY} --no-streaming --target-only {BOUND}"
    streaming = f"{TINY} --streaming {BOUND}"
    return [
        Setting("defaults", resident,
                [*asks.endpoints(paths), *asks.states(), *generations, *asks.texts(),
                 *asks.prefixes(), *asks.states()], ("adaptive", "measured")),
        Setting("refusals", alone,
                [*bad_asks.fields(), *bad_asks.framing(), *bad_asks.access(), *asks.states()]),
        Setting("refused while loading", f"{resident} --while-loading reject",
                [*(asks.get(path.replace("{id}", "x")) for path in paths),
                 asks.chat("Hello"), asks.complete("A heron is"), *asks.texts()[::6],
                 *asks.prefixes()[:1], asks.get(asks.WARM, method="DELETE")],
                ("loading", "measured"), early=True),
        Setting("held while loading", resident, [asks.chat("Hello")], ("loading", "measured"),
                early=True),
        Setting("stop strings", f"{resident} {BOUND} --no-prefix-cache", asks.stops()),
        Setting("half a bank", f"{streaming} --expert-cache-gb 0.011 "
                "--serving-adaptive-block-policy fixed-4",
                [*generations, *asks.prefixes(), *asks.states()], ("streaming",)),
        Setting("a whole bank", f"{streaming} --target-only --expert-cache-gb 0.03 --eviction lfu",
                some),
        Setting("drafts of fixed length", f"{resident} {BOUND} --draft-bits 4 "
                "--serving-adaptive-block-policy fixed-8", generations),
        *(Setting(f"prefixes on disk, {what}", f"{alone} --disk-kv-dir kv",
                  [*asks.prefixes()[:5], *some], ("disk",), folder=pathlib.PurePath("kv"),
                  rests=True)
          for what in ("written", "read again")),
        Setting("a key", f"{alone} --api-key-file {KEYS} --strict-model --alias heron --log-json "
                "--reasoning-field reasoning --prefix-cache-max-entries 3",
                [*some, asks.chat("Hello", model="heron"), asks.get("/v1/models/heron"),
                 asks.get("/props")], fields=("Authorization: Bearer right",)),
        Setting("keys and origins", f"{alone} --api-key-file {KEYS} "
                "--allow-origin https://app.example", bad_asks.access()),
        Setting("hosts", f"{alone} --allow-host evil.example --prefix-cache-max-gb 0.001",
                [*bad_asks.framing()[-8:], asks.get("/props")]),
        Setting("little of everything", f"{alone} --ctx-size 128 --chunk 7 --no-prefix-cache "
                "--request-memory-mb 1 --max-body-mb 1 --log-level debug --reasoning-field inline",
                [*some, *asks.prefixes()[:3], *bad_asks.large()]),
        Setting("the model's own bf16 experts", f"{DENSE} --streaming --bf16-streaming {BOUND} "
                "--expert-cache-gb 0.003 --eviction lru --direct-pread pread", some,
                ("streaming",)),
        Setting("the environment, f32", f"--no-streaming {BOUND} --isa avx2 --compute f32 "
                "--prefix-cache-block-size 16 --serving-adaptive-block-policy fixed-2", some[::3],
                environment={"MANIAC_LOCAL_MOE_CHECKPOINT_PATH": TINY, "LME_DIRECT_PREAD": "pread",
                             "LME_BANK_EVICTION_POLICY": "lru", "LME_DECODE_RESIDENCY": "pin-hot",
                             "LME_CONTINUOUS_BATCHING": "0", "LME_BANK_EVICTON_POLICY": "lfu",
                             "LME_ALLOW_DIAGNOSTIC_FALLBACK": "1"}),
        Setting("probed", f"{streaming} --expert-cache-gb 0.03 --api-key-file {KEYS} --log-level "
                "error --serving-adaptive-block-policy fixed-3", tags=("probed",),
                scenes=(scenes.probe,)),
        Setting("busy", f"{alone} --max-queue 0 --log-level error", tags=("cancelled",),
                scenes=(scenes.busy, scenes.told_to_end)),
        Setting("generated requests", f"{alone} --ctx-size 1024 --log-level error",
                [*bad_asks.generated(document), *asks.states()]),
    ]
