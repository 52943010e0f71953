"""How often the gate is wrong: simulated pairs of models whose true difference is known.

    python -m benchmarks.gate --captions Flickr8k.token.txt

Two people's captions of one image stand for two models, the other three are its references. Which person
stands for which model is drawn by lot an image, so the two are equally good; on part of the images both say
the same, as two models do. For a model that is worse, captions are exchanged with those of other images until
the loss over the whole population is twice the one allowed. Each run draws its images from the population and
asks the gate, one rule at a time. The allowed loss is set just above the usual width of the interval, the
hardest case in which there are images enough; and to half of it, where there are too few.
"""

import argparse
import collections
import random
import statistics
from collections.abc import Sequence

import rich.console
import rich.progress

from components.evaluator.gate import judge
from components.evaluator.records import ImageRecord, Record
from components.evaluator.rules import Gate, Rule
from components.evaluator.scores import Scores
from components.evaluator.verdict import PASSED, REFUSED, UNDECIDED, Verdict
from models.metrics.bleu import corpus_bleu
from models.metrics.cider_d import cider_d
from models.metrics.tokenizer import tokenize

METRICS = ("bleu_4", "cider_d")
_PILOTS = 20
_SLACK = 1.1  # allowed loss / median width: most intervals are then narrow enough

# References, and a caption of each of two models.
Image = tuple[tuple[str, ...], str, str]


def main() -> None:
    """Runs the simulation and prints the error rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captions", required=True, metavar="FILE", help="Flickr8k.token.txt: five an image")
    parser.add_argument("--images", type=int, default=1000, help="a run")
    parser.add_argument("--runs", type=int, default=300, help="of each case")
    parser.add_argument("--same", type=float, default=0.1, help="share of images of which both say the same")
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    population = read(args.captions, args.same, random.Random(args.seed))
    console = rich.console.Console(highlight=False, soft_wrap=True)
    widths = [
        _widths(population, args, random.Random(f"{args.seed}/pilot/{number}")) for number in range(_PILOTS)
    ]
    margins = {metric: _SLACK * statistics.median(w[metric] for w in widths) for metric in METRICS}
    console.print(f"{len(population)} images in the population, {args.images} a run, {args.runs} runs a case")
    for factor, name in ((1.0, "images enough"), (0.5, "too few images")):
        for metric in METRICS:
            margin = factor * margins[metric]
            exchanged = _share_for_loss(population, metric, 2 * margin, args.seed)
            for share, case in ((0.0, "equal"), (exchanged, "worse by twice the allowed loss")):
                outcomes = collections.Counter(
                    _outcome(population, metric, margin, share, args, f"{factor}/{metric}/{case}/{number}")
                    for number in rich.progress.track(
                        range(args.runs),
                        f"{name}, {metric}, {case}",
                        console=rich.console.Console(stderr=True),
                    )
                )
                console.print(
                    f"{name}: {metric}, allowed loss {margin:.4f}, {case}: "
                    + ", ".join(
                        f"{outcome} {outcomes[outcome] / args.runs:.1%}"
                        for outcome in (PASSED, REFUSED, UNDECIDED)
                    )
                )


def read(path: str, same: float, rng: random.Random) -> list[Image]:
    """Returns the population: images with five captions each."""
    captions: dict[str, list[str]] = collections.defaultdict(list)
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            image, _, text = line.rstrip("\n").partition("\t")
            captions[image.partition("#")[0]].append(text)
    population = []
    for texts in captions.values():
        if len(texts) == 5:
            first, second, *references = rng.sample(texts, 5)
            population.append((tuple(references), first, first if rng.random() < same else second))
    return population


def _share_for_loss(population: Sequence[Image], metric: str, loss: float, seed: int) -> float:
    """The share of captions to exchange so that the population loses `loss`, by bisection."""
    references = [[tokenize(text) for text in image[0]] for image in population]

    def score(share: float) -> float:
        words = [tokenize(text) for text in _exchanged(population, share, random.Random(seed))]
        return corpus_bleu(words, references)[3] if metric == "bleu_4" else cider_d(words, references)

    whole, low, high = score(0.0), 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if whole - score(middle) < loss else (low, middle)
    return (low + high) / 2


def _exchanged(images: Sequence[Image], share: float, rng: random.Random) -> list[str]:
    """The first model's captions, a share of them replaced by those of other images."""
    captions = [image[1] for image in images]
    return [rng.choice(captions) if rng.random() < share else caption for caption in captions]


def _run(
    population: Sequence[Image],
    margins: dict[str, float],
    share: float,
    args: argparse.Namespace,
    rng: random.Random,
) -> Verdict:
    drawn = rng.choices(population, k=args.images)
    # By lot, so that neither model is better.
    swapped = [image if rng.random() < 0.5 else (image[0], image[2], image[1]) for image in drawn]
    candidates = _exchanged(swapped, share, rng)
    records = [
        ImageRecord(
            str(number),
            "",
            references,
            {},
            {"candidate": Record(candidate, 1.0, 1.0, 1.0), "baseline": Record(baseline, 1.0, 1.0, 1.0)},
        )
        for number, ((references, _, baseline), candidate) in enumerate(zip(swapped, candidates, strict=True))
    ]
    gate = Gate(
        tuple(Rule(metric, True, allowed_loss=margin) for metric, margin in margins.items()),
        args.confidence,
        args.resamples,
        rng.randrange(2**32),
    )
    # The values themselves decide nothing: no rule has a bound.
    values = {"": dict.fromkeys(margins, 0.5) | {"images": float(args.images)}}
    return judge(gate, Scores(values, values), records)


def _widths(population: Sequence[Image], args: argparse.Namespace, rng: random.Random) -> dict[str, float]:
    differences = _run(population, dict.fromkeys(METRICS, 1.0), 0.0, args, rng).differences[""]
    return {metric: differences[metric].high - differences[metric].low for metric in METRICS}


def _outcome(
    population: Sequence[Image], metric: str, margin: float, share: float, args: argparse.Namespace, name: str
) -> str:
    verdict = _run(population, {metric: margin}, share, args, random.Random(f"{args.seed}/{name}"))
    return verdict.checks[0].outcome


if __name__ == "__main__":
    main()
