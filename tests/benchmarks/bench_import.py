"""Import: eight files as large as AlpacaEval's, 805 answers each, the whole command in a process of its own.

The plain way is a script's: one SELECT and one INSERT per answer, committed one by one.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks import Figure, median_seconds

MODELS, INSTRUCTIONS = 8, 805
CHARACTERS = 1230  # of an answer: the mean of eight models' AlpacaEval files

PLAIN = """
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("CREATE TABLE instructions (id INTEGER PRIMARY KEY, instruction TEXT UNIQUE)")
db.execute("CREATE TABLE responses (instruction_id, model, response, UNIQUE (instruction_id, model, response))")
for file in sys.argv[2:]:
    for row in json.load(open(file)):
        db.execute("INSERT OR IGNORE INTO instructions (instruction) VALUES (?)", [row["instruction"]])
        found = db.execute("SELECT id FROM instructions WHERE instruction = ?", [row["instruction"]]).fetchone()
        db.execute("INSERT OR IGNORE INTO responses VALUES (?, ?, ?)", [found[0], row["generator"], row["output"]])
        db.commit()
"""


def write_files(folder: Path) -> list[str]:
    """The files: words of a made-up vocabulary, one answer in ten with characters beyond ASCII."""
    draw = random.Random(0)
    words = ["".join(draw.choices("etaoinshrdlucmfw", k=draw.randint(2, 9))) for _ in range(5000)]
    asked = [" ".join(draw.choices(words, k=30)) for _ in range(INSTRUCTIONS)]
    names = []
    for model in range(MODELS):
        rows = [
            {
                "dataset": "synthetic",
                "instruction": instruction,
                "output": _answer(draw, words) + (" naïve — 模型。" if number % 10 == 0 else ""),
                "generator": f"model-{model}",
            }
            for number, instruction in enumerate(asked)
        ]
        names.append(str(folder / f"model-{model}.json"))
        Path(names[-1]).write_text(json.dumps(rows, indent=2), encoding="utf-8")
    return names


def _answer(draw: random.Random, words: Sequence[str]) -> str:
    return " ".join(draw.choices(words, k=int(draw.expovariate(6.5 / CHARACTERS)) + 1))


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        names = write_files(Path(folder))

        def imported() -> None:
            db = Path(folder) / "mad.db"
            db.unlink(missing_ok=True)
            command = [sys.executable, "-m", "madetl", "--db", str(db), "import", "alpaca-eval", *names]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            assert done.stdout.startswith(f"alpaca-eval: {MODELS * INSTRUCTIONS} responses"), done.stdout

        def plain() -> None:
            db = Path(folder) / "plain.db"
            subprocess.run([sys.executable, "-c", PLAIN, str(db), *names], check=True)

        seconds = median_seconds(imported)
        yield Figure(
            work=f"import of {MODELS} AlpacaEval files, {MODELS * INSTRUCTIONS:,} responses, the whole command",
            seconds=seconds,
            target="3 s",
            reached=seconds <= 3,
            plain_seconds=median_seconds(plain, repeat=1),
            plain="an INSERT and a commit per answer",
        )
