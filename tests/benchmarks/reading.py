"""Measures how fast large texts are read and cut into tokens, and how much memory that takes.

python tests/benchmarks/reading.py --megabytes 2000

The text is made of the sample text, again and again. In each copy some of the words that occur once get an ending of
this copy, so that the number of different words grows with the text as it does in books: 100 MB have some 250,000.
NLTK's own speed is that of its tokenizer on the lines of one copy, in one process.
"""

from __future__ import annotations

import collections
import json
import os
import re
import string
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import click
from nltk.tokenize import NLTKWordTokenizer

SAMPLE_TEXT = Path(__file__).resolve().parents[2] / "data" / "input.txt"
SHARE = 16
"""One in so many of the rare words is another word in each copy."""

READ = """
import json, os, sys, time
from seqlm_core.plugins.components import Components
from seqlm_core.reading.corpus import read_corpus
import seqlm_core as seqlm

settings = seqlm.LanguageSettings(tokenizer=sys.argv[2])
tokenizer = Components.choose(settings, seqlm.installed_plugins()).build_tokenizer()
started, used = time.perf_counter(), time.process_time()
corpus = read_corpus([sys.argv[1]], tokenizer, validation_fraction=0.1, validation_limit=1_000_000, min_count=2)
print(json.dumps({
    "seconds": time.perf_counter() - started,
    "processor": time.process_time() - used,
    "tokens": len(corpus.training),
    "vocabulary": len(corpus.vocabulary),
}))
"""


def copies(size: int) -> Iterator[str]:
    """Yield copies of the sample text, each with other rare words, until there are so many bytes."""
    text = SAMPLE_TEXT.read_text(encoding="utf-8")
    words = re.split(r"(\W+)", text)
    counts = collections.Counter(words)
    rare = [word for word, count in counts.items() if count == 1 and word.isalpha()]
    written = number = 0
    while written < size:
        ending = "".join(string.ascii_lowercase[number // 26**place % 26] for place in range(3))
        changed = set(rare[number % SHARE :: SHARE])
        copy = "".join(word + ending if word in changed else word for word in words)
        yield copy
        written += len(copy.encode())
        number += 1


def nltks_own_speed() -> float:
    """Return how many megabytes a second NLTK's tokenizer cuts in one process."""
    lines = SAMPLE_TEXT.read_text(encoding="utf-8").splitlines()
    tokenizer = NLTKWordTokenizer()
    started = time.process_time()
    for line in lines:
        collections.deque(tokenizer.span_tokenize(line), maxlen=0)
    return SAMPLE_TEXT.stat().st_size / 1e6 / (time.process_time() - started)


class Memory(threading.Thread):
    """Observes the anonymous memory of a process and of its children.

    Args:
        process: the number of the process.
    """

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.process = process
        self.most = self.most_with_children = 0

    def run(self) -> None:
        while Path(f"/proc/{self.process}").exists():
            sizes = {number: anonymous_memory(number) for number in family(self.process)}
            self.most = max(self.most, sizes.get(self.process, 0))
            self.most_with_children = max(self.most_with_children, sum(sizes.values()))
            time.sleep(0.05)


def family(process: int) -> list[int]:
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return [process]
    return [process, *(number for child in children for number in family(int(child)))]


def anonymous_memory(process: int) -> int:
    """Return the bytes of a process's memory that are no pages of files."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"RssAnon:\s+(\d+)", status)
    return 1024 * int(found[1]) if found else 0


def row(text: Path, tokenizer: str, environment: dict[str, str], cores: str | None = None) -> str:
    """Return a line of the table: one reading, in a process of its own."""
    command = [sys.executable, "-c", READ, str(text), tokenizer]
    if cores is not None:
        command = ["taskset", "-c", cores, *command]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    memory = Memory(process.pid)
    memory.start()
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(process.returncode)
    figures = json.loads(output.splitlines()[-1])
    size = text.stat().st_size / 1e6
    return (
        f"{figures['seconds']:.2f} | {size / figures['seconds']:,.0f} | {figures['tokens']:,} | "
        f"{figures['vocabulary']:,} | {memory.most / 1e6:.0f} | {memory.most_with_children / 1e6:.0f} |"
    )


@click.command(help=__doc__)
@click.option("--megabytes", type=click.IntRange(min=2), default=100, show_default=True, help="The size of the text.")
def main(megabytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        with text.open("w", encoding="utf-8") as file:
            file.writelines(copies(megabytes * 1_000_000))
        time.sleep(3)  # until the file is old enough to be recognized
        environment = {"SEQLM_CACHE_DIR": str(Path(folder) / "cache"), "SEQLM_CACHE_LIMIT": "1000"}
        cores = sorted(os.sched_getaffinity(0))
        print(f"a text of {text.stat().st_size / 1e6:,.0f} MB; NLTK alone cuts {nltks_own_speed():.1f} MB a second")
        print("| read by | seconds | MB a second | tokens | vocabulary | MB of memory | with all processes |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        one = str(cores[0])
        print(f"| `char`, one core | {row(text, 'char', environment, one)}", flush=True)
        print(f"| `char`, again | {row(text, 'char', environment, one)}", flush=True)
        print(f"| `word`, one core | {row(text, 'word', {**environment, 'SEQLM_CACHE_LIMIT': '0'}, one)}", flush=True)
        if len(cores) > 1:
            print(f"| `word`, {len(cores)} cores | {row(text, 'word', environment)}", flush=True)
            print(f"| `word`, again | {row(text, 'word', environment)}", flush=True)


if __name__ == "__main__":
    main()
