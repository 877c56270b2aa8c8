"""What two runs of one program differ in, and nothing else: times, what follows from times, and
names that are drawn. One table a kind of text, with a reason each; it is taken out of both runs
before they are compared."""
import dataclasses
import re

import json_leaves


@dataclasses.dataclass(frozen=True)
class Varying:
    what: str        # regular expression: a JSON path, a metric with its labels, or text
    reason: str
    tag: str = ""    # only of settings with it; empty: of all
    near: float = 0  # how much of the larger value two may differ by; 0: altogether


_READS = "when a read ends decides whether an expert is found or still awaited, and what is guessed"

# Paths of values in JSON bodies and events, matched as a whole.
JSON_VALUES = [
    Varying(r"(data\.\d+\.)?created", "the time of the answer, or of the load"),
    Varying(r"timings\.(prompt|predicted)_(ms|per_second)", "durations and rates of a generation"),
    Varying(r"mach\.(queue|ttft)_ms", "durations of a generation"),
    Varying(r"prompt_progress\.time_ms", "duration of a prompt so far"),
    Varying(r"ms", "duration of POST /v1/cache/warm_prefix"),
    Varying(r"bytes", "the same one's: what is cached when it looks, which the engine may be at"),
    Varying(r"data\.\d+\.age_ms", "age of a request"),
    Varying(r"data\.\d+\.output_tokens|tokens\.output", "how far a cancelled one came",
            "cancelled"),
    Varying(r"speeds\.\w+", "rates of /v1/stats, and its mean duration"),
    Varying(r"queue\.last_progress_ms", "duration since a generation moved"),
    Varying(r"uptime_s", "age of the server"),
    Varying(r"streaming_summary\.stall_ms", "time that computation waited for reads"),
    Varying(r"free_bytes", "memory that the machine has free: `mach check`"),
    Varying(r"(error\.)?(progress|stage)", "how far a load is", "loading"),
    Varying(r"verdict|checks\.[23]\.(verdict|found|advice)",
            "`mach probe` of speeds, and the worst of its verdicts", "probed"),
    Varying(r"measured\.(prefill|decode)_tokens_per_second", "rates of `mach probe`"),
    Varying(r"specdec_(drafted|accepted)|recent_alpha|(observed|low)_cycles",
            "drafts are made where their measured time pays", "adaptive"),
    Varying(r"streaming_summary\.(hits|misses|hit_rate)", _READS, "streaming", near=0.1),
    Varying(r"streaming_summary\.evictions", _READS, "streaming", near=0.01),
    Varying(r"data\.\d+\.hits", "hits of a prefix on disk lose worth with time", "disk", near=0.1),
    Varying(r"streaming_summary\.(bytes_read|prefetch\.\w+)",
            "guesses are read where their measured time pays", "streaming"),
    Varying(r"measured\.stats_(looks|p99_ms)", "`mach probe` looks as often as there is time"),
]

# Members of JSON objects that are there or not; as they are written.
JSON_MEMBERS = [
    Varying(r",\"eta_s\":[0-9.]+", "said when a part of the load is done", "loading"),
]

# Metrics as NAME or NAME{LABELS}, matched as a whole.
METRICS = [
    Varying(r"mach_load_seconds", "duration of the load"),
    Varying(r"mach_(prefill|decode)_tokens_per_second", "rates"),
    Varying(r"mach_\w+_seconds_(bucket\{.*\}|sum)", "durations; their _count is compared"),
    Varying(r"mach_specdec_\w+", "drafts are made where their measured time pays", "adaptive"),
    Varying(r"mach_expert_(hits|misses)_total", _READS, "streaming", near=0.1),
    Varying(r"mach_expert_evictions_total", _READS, "streaming", near=0.01),
    Varying(r"mach_expert_(bytes_read_total|prefetch_total\{.*\})",
            "guesses are read where their measured time pays", "streaming"),
    Varying(r"mach_expert_stall_seconds_total", "time that computation waited for reads"),
]

# In texts: what the groups match, or all of it where there is none, is taken out.
TEXTS = [
    Varying(r"(?m)^(?:\{\"time\":\")?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})",
            "the time of a line of the log"),
    Varying(r"\bclient=127\.0\.0\.1:(\d+)", "the client's port, any free one"),
    Varying(r"\b(?:ms|queue_ms|ttft_ms)=([0-9.]+)", "durations of a request"),
    Varying(r"(?m)^(?:.* I )?(?:loading|evaluating|writing|exporting experts|reading weights|"
            r"verifying experts|checking what was exported before): (?:done|\d+ %).*\n",
            "progress of what takes more than a second"),
    Varying(r"(?<=[ ,])([0-9.]+)/s\b", "tokens a second of `mach generate`"),
    Varying(r"; ([0-9.]+ (?:ms|s|min)), ([0-9.]+ [KMGT]?i?B)/s", "duration of `mach synth`"),
    Varying(r"([0-9.]+ [KMG]iB) free\b", "memory that the machine has free: `mach check`"),
    Varying(r"(\d+) of \d+ threads (\(.*) a token\)", "measured to choose the number of threads"),
    Varying(r"(?m)^production .* threads=(\d+)$", "the number chosen by that", "measured"),
    Varying(r"(?m)^(?:ok|warn)\s+(?:prefill|stats|verdict) .*\n(?: {6}.*\n)?",
            "`mach probe` of speeds, and the worst of its verdicts", "probed"),
    Varying(r"(?m)^Retry-After: (\d+)$", "by how far a load is", "loading"),
]

_ABOUT = re.compile(r"(?<=<about:)([0-9.e+-]+),within:([0-9.]+)(?=>)")
_DRAWN = re.compile(r"\b(chatcmpl-|cmpl-|call_|req_)[0-9A-Za-z]{24}\b")


class Names:
    """Names that are drawn, numbered by their first mention: that two mentions are of one thing
    stays to be seen."""

    def __init__(self):
        self.numbers = {}

    def numbered(self, text):
        return _DRAWN.sub(lambda found: found[1] + self._number(found[0]), text)

    def _number(self, name):
        return f"<{self.numbers.setdefault(name, len(self.numbers) + 1)}>"


def _value(table, name, value):
    """The value under its name as it is to be compared."""
    for pattern, near in table:
        if pattern.fullmatch(name):
            return f"<about:{value},within:{near}>" if near else "<varies>"
    return value


class Settled:
    """Takes out what varies under a setting with these tags."""

    def __init__(self, tags=(), port=None):
        self.json, self.metrics, self.members, self.texts = (
            [(re.compile(row.what), row.near) for row in table if not row.tag or row.tag in tags]
            for table in (JSON_VALUES, METRICS, JSON_MEMBERS, TEXTS))
        self.port = port  # of the server: any free one

    def text(self, text, names=None):
        text = self._without_port(text)
        for pattern, _ in self.texts:
            text = pattern.sub(_masked, text)
        return (names or Names()).numbered(text)

    def _without_port(self, text):
        if self.port is None:
            return text
        return text.replace(f":{self.port}/v1", ":<port>/v1")

    def ended(self, ended):
        """{field: text} of a program's (exit status, output, errors)."""
        status, out, err = ended
        names = Names()
        found = {"exit": str(status)}
        try:
            found["body"] = self.json_text(out)
        except ValueError:
            found["stdout"] = self.text(out, names)
        return found | {"stderr": self.text(err, names)}

    def json_leaves(self, text):
        """(path, value as it is to be compared) of a JSON text; raises ValueError."""
        return [(path, self._json_value(path, text[begin:end]))
                for path, begin, end in json_leaves.leaves(text)]

    def json_text(self, text):
        """A JSON text with such values; raises ValueError."""
        text = self._without_port(text)
        for pattern, _ in self.members:
            text = pattern.sub("", text)
        parts, at = [], 0
        for path, begin, end in json_leaves.leaves(text):
            parts += [text[at:begin], self._json_value(path, text[begin:end])]
            at = end
        return "".join(parts) + text[at:]

    def _json_value(self, path, value):
        told = _value(self.json, path, value)
        return told if told is value else f'"{told}"'

    def metrics_text(self, text):
        lines = []
        for line in text.split("\n"):
            sample, space, value = line.rpartition(" ")
            if not line.startswith("#"):
                value = _value(self.metrics, sample, value)
            lines.append(sample + space + value)
        return "\n".join(lines)


def same(old, new):
    """Whether two texts that were settled are equal, values near each other included."""
    if old == new or old is None or new is None:
        return old == new
    near = [(_ABOUT.findall(text), _ABOUT.sub("", text)) for text in (old, new)]
    (olds, old), (news, new) = near
    return old == new and all(
        abs(float(a) - float(b)) <= float(share) * max(float(a), float(b))
        for (a, share), (b, _) in zip(olds, news, strict=True))


def _masked(found):
    """What a pattern found, without its groups; nothing of it where it has none."""
    text, at = "", found.start()
    for group in range(1, found.re.groups + 1):
        text += found.string[at:found.start(group)] + "<varies>"
        at = found.end(group)
    return text + found.string[at:found.end()] if found.re.groups else ""
