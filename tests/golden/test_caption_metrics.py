"""The metric test set of coco-caption and the figures published with it."""

import json
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from models.metrics import meteor
from models.metrics.bleu import corpus_bleu
from models.metrics.cider_d import cider_d
from models.metrics.rouge_l import rouge_l
from models.metrics.scores import score_captions
from models.metrics.tokenizer import tokenize
from tests.conftest import DATA

COCO = DATA / "coco_caption" / "fakecap_tokenized.json"
RAW_CAPTIONS = DATA / "coco_caption" / "captions_val2014_fakecap_results.json"
FLICKR = DATA / "flickr8k" / "Flickr8k.token.txt"

needs_coco = pytest.mark.skipif(not COCO.exists(), reason=f"no coco-caption test set at {COCO}")


@pytest.fixture(scope="module")
def corpus() -> dict[str, dict]:
    return json.loads(COCO.read_text())


@needs_coco
def test_tokenised_text_scores_as_published(corpus: dict[str, dict]) -> None:
    candidates = [item["hyp"].split() for item in corpus.values()]
    references = [[reference.split() for reference in item["refs"]] for item in corpus.values()]
    assert corpus_bleu(candidates, references) == pytest.approx(
        (0.579400, 0.404391, 0.278536, 0.190829), abs=1e-6
    )
    assert rouge_l(candidates, references) == pytest.approx(0.396253, abs=1e-6)
    assert cider_d(candidates, references) == pytest.approx(0.599791, abs=1e-6)


@needs_coco
@pytest.mark.skipif(isinstance(meteor.find(), meteor.Unavailable), reason="METEOR needs Java and its archive")
def test_meteor_is_the_published_one(corpus: dict[str, dict]) -> None:
    candidates = [item["hyp"].split() for item in corpus.values()]
    references = [[reference.split() for reference in item["refs"]] for item in corpus.values()]
    assert meteor.meteor([candidates], references) == pytest.approx([0.195255], abs=1e-6)


@needs_coco
def test_raw_captions_score_as_published(corpus: dict[str, dict]) -> None:
    raw = {str(item["image_id"]): item["caption"] for item in json.loads(RAW_CAPTIONS.read_text())}
    scores = score_captions([raw[image] for image in corpus], [item["refs"] for item in corpus.values()])
    published = {"bleu_1": 0.579400, "bleu_4": 0.190829, "rouge_l": 0.396253, "cider_d": 0.599791}
    assert {key: scores[key] for key in published} == pytest.approx(published, abs=1e-3)


@needs_coco
def test_tokenising_twice_changes_next_to_nothing(corpus: dict[str, dict]) -> None:
    texts = [text for item in corpus.values() for text in (item["hyp"], *item["refs"])]
    changed = [text for text in texts if " ".join(tokenize(text)) != text]
    # Stanford's tokenizer keeps the period of a word before two marks; a second look does not know of them.
    assert len(texts) > 6_000
    assert len(changed) <= 1


@pytest.mark.skipif(not FLICKR.exists(), reason=f"no Flickr8k captions at {FLICKR}")
@pytest.mark.skipif(shutil.which("java") is None, reason="Stanford's tokenizer needs Java")
def test_flickr8k_is_tokenised_as_by_stanfords_tokenizer() -> None:
    from pycocoevalcap.tokenizer import ptbtokenizer

    captions = [line.split("\t")[1] for line in FLICKR.read_text(encoding="utf-8").splitlines()]
    jar = pathlib.Path(ptbtokenizer.__file__).parent / ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "captions.txt"
        file.write_text("\n".join(captions), encoding="utf-8")
        command = [
            "java",
            "-cp",
            str(jar),
            "edu.stanford.nlp.process.PTBTokenizer",
            "-preserveLines",
            "-lowerCase",
        ]
        lines = subprocess.run(
            [*command, str(file)], capture_output=True, text=True, check=True
        ).stdout.splitlines()
    assert len(lines) == len(captions) > 30_000
    for caption, line in zip(captions, lines, strict=True):
        theirs = tuple(word for word in line.split() if word not in ptbtokenizer.PUNCTUATIONS)
        assert tokenize(caption) == theirs, caption
