"""Time and memory of the caption metrics beside pycocoevalcap's Python, on the same captions.

Each runs in a process of its own, one thread, on tokenised text: BLEU-1 to 4, ROUGE-L and CIDEr-D of 100,000
captions with five references each. Words are drawn as often as words of captions are (by Zipf's law), so no
data set is needed. The scores must agree.

    python -m benchmarks.metrics [--captions 100000] [--rounds 3]
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time

import rich.console

_WORDS = 10_000
_REFERENCES = 5
_LENGTHS = range(6, 16)
_BAR = 1.0  # at least as fast
_OURS, _THEIRS = "ours", "pycocoevalcap"

Corpus = tuple[list[list[str]], list[list[list[str]]]]


def corpus(count: int) -> Corpus:
    """Captions and references that share words, as those of one image do."""
    rng = random.Random(1)
    words = [f"w{number}" for number in range(_WORDS)]
    weights = [1 / (number + 1) for number in range(_WORDS)]
    drawn = iter(rng.choices(words, weights, k=count * (_REFERENCES + 2) * max(_LENGTHS)))
    captions, references = [], []
    for _ in range(count):
        topic = [next(drawn) for _ in range(max(_LENGTHS))]
        texts = []
        for _ in range(_REFERENCES + 1):
            start = rng.randrange(5)
            text = topic[start : start + rng.choice(_LENGTHS)]
            texts.append([next(drawn) if rng.random() < 0.3 else word for word in text])
        captions.append(texts[0])
        references.append(texts[1:])
    return captions, references


def ours(captions: list[list[str]], references: list[list[list[str]]]) -> list[float]:
    """Scores by `models.metrics`."""
    from models.metrics.bleu import corpus_bleu
    from models.metrics.cider_d import cider_d
    from models.metrics.rouge_l import rouge_l

    return [*corpus_bleu(captions, references), rouge_l(captions, references), cider_d(captions, references)]


def theirs(captions: list[list[str]], references: list[list[list[str]]]) -> list[float]:
    """Scores by pycocoevalcap, which takes strings by image id."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    truth = {i: [" ".join(words) for words in of_image] for i, of_image in enumerate(references)}
    said = {i: [" ".join(words)] for i, words in enumerate(captions)}
    bleu, _ = Bleu(4).compute_score(truth, said, verbose=0)
    return [
        *bleu,
        float(Rouge().compute_score(truth, said)[0]),
        float(Cider().compute_score(truth, said)[0]),
    ]


def measure(which: str, count: int) -> dict[str, object]:
    """Scores, seconds and MiB above the corpus, in this process."""
    captions, references = corpus(count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    scores = (ours if which == _OURS else theirs)(captions, references)
    seconds = time.perf_counter() - started
    mebibytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"scores": scores, "seconds": seconds, "mebibytes": mebibytes}


def main() -> int:
    """Runs both side by side; the exit status is 1 below the bar or where scores differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", choices=(_OURS, _THEIRS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.captions)))
        return 0
    console = rich.console.Console(highlight=False, soft_wrap=True)
    found: dict[str, list[dict]] = {_OURS: [], _THEIRS: []}
    for number in range(args.rounds):
        for which, results in found.items():
            command = [sys.executable, "-m", "benchmarks.metrics", "--measure", which]
            command += ["--captions", str(args.captions)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results.append(json.loads(done.stdout.splitlines()[-1]))
            console.print(f"round {number + 1}: {which} {results[-1]['seconds']:.1f} s", style="dim")
    medians = {which: statistics.median(r["seconds"] for r in results) for which, results in found.items()}
    memory = {which: statistics.median(r["mebibytes"] for r in results) for which, results in found.items()}
    apart = max(
        abs(a - b) for a, b in zip(found[_OURS][0]["scores"], found[_THEIRS][0]["scores"], strict=True)
    )
    ratio = medians[_THEIRS] / medians[_OURS]
    console.print(f"{args.captions:,} captions, {_REFERENCES} references each, one core")
    for which in found:
        console.print(f"{which}: {medians[which]:.1f} s, {memory[which]:,.0f} MiB above the corpus")
    console.print(f"{ratio:.2f} times as fast (bar {_BAR}); scores at most {apart:.1e} apart")
    return 0 if ratio >= _BAR and apart < 1e-6 else 1


if __name__ == "__main__":
    sys.exit(main())
