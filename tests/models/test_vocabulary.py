"""Which words are learned and in which order; the Beam form equals the plain one."""

import collections
import pathlib
import random

import apache_beam as beam
import numpy as np
import pytest

from models import vocabulary
from models.config import CorpusConfig
from models.features import ACTION_WORDS
from models.stop_words import STOP_WORDS
from models.vocabulary import BuildVocabulary, Vocabulary, build, split_words

NO_LIST = CorpusConfig(min_images=1, word_vectors="none")


def images(*rows: tuple[str, list[str]]) -> list[vocabulary.Image]:
    return [(image_id, [split_words(caption) for caption in captions]) for image_id, captions in rows]


def learned(rows: list[vocabulary.Image], corpus: CorpusConfig) -> list[str]:
    """The vocabulary without the action words, which must come first."""
    words = build(rows, corpus)
    assert tuple(words[: len(ACTION_WORDS)]) == ACTION_WORDS
    return words[len(ACTION_WORDS) :]


def test_stop_words_come_first_then_the_others_each_by_frequency_then_alphabet():
    rows = images(("1", ["The dog and a cat", "a dog runs"]), ("2", ["a cat runs", "the dog ,"]))
    # a 3; the 2; "," and and 1 each. dog 3; cat, runs 2.
    assert learned(rows, NO_LIST) == ["a", "the", ",", "and", "dog", "cat", "runs"]


def test_without_stop_words_frequency_alone_orders():
    rows = images(("1", ["a dog and a dog", "dog"]))
    corpus = NO_LIST.replace(stop_words="none")
    assert learned(rows, corpus) == ["dog", "a", "and"]


def test_min_images_counts_images_not_occurrences():
    rows = images(("1", ["red red red", "red dog"]), ("2", ["dog"]))
    assert learned(rows, NO_LIST.replace(min_images=2)) == ["dog"]


def test_an_image_in_several_rows_counts_once():
    rows = images(("1", ["dog"]), ("1", ["dog"]), ("2", ["cat"]), ("3", ["cat"]))
    assert learned(rows, NO_LIST.replace(min_images=2)) == ["cat"]


def test_words_are_counted_only_in_the_captions_kept():
    """`cat` is in two images, but one of its captions goes because of `unique`: it comes after `dog`."""
    rows = images(("1", ["cat unique cat", "dog dog"]), ("2", ["cat"]), ("3", ["dog"]))
    assert learned(rows, NO_LIST.replace(min_images=2)) == ["dog", "cat"]


def test_a_word_whose_every_caption_goes_is_not_learned():
    rows = images(("1", ["cat once"]), ("2", ["cat single"]), ("3", ["dog"]), ("4", ["dog"]))
    assert learned(rows, NO_LIST.replace(min_images=2)) == ["dog"]


def test_rare_words_can_be_unknown_instead_of_costing_the_caption():
    rows = images(("1", ["cat once"]), ("2", ["cat single"]), ("3", ["dog"]), ("4", ["dog"]))
    corpus = NO_LIST.replace(min_images=2, drop_captions_with_rare_words=False)
    assert learned(rows, corpus) == ["cat", "dog"]


def test_captions_over_max_tokens_are_not_counted():
    rows = images(("1", ["one two three four", "one two three"]))
    assert learned(rows, NO_LIST.replace(max_tokens=3, stop_words="none")) == ["one", "three", "two"]


def test_only_words_of_the_word_list_are_learned(tmp_path: pathlib.Path):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("dog 1 2\ncat 3 4\nhorse 5 6\n", encoding="utf-8")
    rows = images(("1", ["dog", "cat", "horse", "zebra", "dog zebra"]))
    corpus = NO_LIST.replace(word_vectors=str(vectors), word_list_size=2)
    assert learned(rows, corpus) == ["cat", "dog"]
    assert learned(rows, corpus.replace(word_list_size=0)) == ["cat", "dog", "horse"]


def test_the_words_of_special_tokens_are_never_learned():
    rows = [("1", [["{STOP}", "dog"], ["{MASK}"], ["dog"]])]
    assert learned(rows, NO_LIST) == ["dog"]


# --- the Beam form ---


def random_rows(seed: int) -> list[tuple[str, list[str]]]:
    """Some images, several of them in more than one row, with captions of 0 to 8 skewed words."""
    rng = random.Random(seed)
    words = ["a", "the", "in", ",", *(f"w{n}" for n in range(40))]
    weights = [1 / (place + 1) for place in range(len(words))]

    def caption() -> str:
        return " ".join(rng.choices(words, weights, k=rng.randint(0, 8)))

    ids = [str(rng.randrange(30)) for _ in range(60)]
    return [(image_id, [caption() for _ in range(rng.randint(0, 4))]) for image_id in ids]


CASES = {
    "one image is enough": CorpusConfig(min_images=1, word_vectors="none"),
    "several images": CorpusConfig(min_images=4, word_vectors="none"),
    "rare words unknown": CorpusConfig(
        min_images=4, word_vectors="none", drop_captions_with_rare_words=False
    ),
    "short captions, no stop words": CorpusConfig(
        min_images=2, word_vectors="none", max_tokens=3, stop_words="none"
    ),
    "grown": CorpusConfig(min_images=4, word_vectors="none", vocabulary="grow"),
    "frozen": CorpusConfig(min_images=4, word_vectors="none", vocabulary="frozen"),
}


def known_of(corpus: CorpusConfig) -> tuple[str, ...]:
    """The vocabulary in service, where a case begins with one."""
    return () if corpus.vocabulary == "rebuild" else (*ACTION_WORDS, "in", "w3", "w30", "gone")


def batches(rows: list[tuple[str, list[str]]], size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """As Transform hands them over: image ids, and the captions of each, lines of one text."""
    return [
        (
            np.array([image_id.encode() for image_id, _ in rows[start : start + size]], object),
            np.array(["\n".join(captions).encode() for _, captions in rows[start : start + size]], object),
        )
        for start in range(0, len(rows), size)
    ]


def build_in_beam(
    rows: list[tuple[str, list[str]]], corpora: dict[str, CorpusConfig], folder: pathlib.Path
) -> dict[str, list[str]]:
    """The file's lines by the corpus's name, all made in one Beam pipeline."""
    with beam.Pipeline() as pipeline:
        shared = pipeline | beam.Create(batches(rows, 7)) | beam.Reshuffle()
        for name, corpus in corpora.items():
            analyzer = BuildVocabulary(corpus, known_of(corpus))
            analyzer.base_temp_dir = str(folder / name)
            _ = (
                shared
                | name >> analyzer
                | f"{name}: path" >> beam.Map(lambda path: path.item().decode())
                | f"{name}: keep" >> beam.io.WriteToText(str(folder / f"{name}.path"), num_shards=1)
            )
    lines = {}
    for name in corpora:
        (kept,) = folder.glob(f"{name}.path*")
        file = pathlib.Path(kept.read_text(encoding="utf-8").strip())
        assert file.name == "vocabulary"
        lines[name] = file.read_text(encoding="utf-8").splitlines()
    return lines


def test_the_beam_form_equals_the_plain_one(tmp_path: pathlib.Path):
    rows = random_rows(seed=3)
    found = build_in_beam(rows, CASES, tmp_path)
    for name, corpus in CASES.items():
        assert found[name] == build(images(*rows), corpus, known_of(corpus)), name
    assert len({tuple(words) for words in found.values()}) == len(CASES), "the cases do not differ"


def test_the_count_of_images_is_the_same_however_bundles_are_merged():
    """Each bundle keeps at most `enough` image ids: the merged count must still reach what is asked."""
    combine = vocabulary._CountImages(3)
    bundles = [["1", "1", "2"], ["2", "3"], [], ["1"]]
    accumulators = []
    for ids in bundles:
        accumulator = combine.create_accumulator()
        for image_id in ids:
            accumulator = combine.add_input(accumulator, (image_id, [["dog"], ["dog", "cat"]]))
        accumulators.append(accumulator)
    assert combine.extract_output(combine.merge_accumulators(accumulators)) == {"dog": 3, "cat": 3}


KNOWN = (*ACTION_WORDS, "the", "dog", "cat")


def test_a_grown_vocabulary_keeps_the_known_ids_and_appends_new_words_by_frequency():
    rows = images(("1", ["a dog runs", "birds fly"]), ("2", ["birds sing"]))
    words = build(rows, NO_LIST.replace(vocabulary="grow"), KNOWN)
    assert words[: len(KNOWN)] == list(KNOWN), "`the` and `cat` though they are not seen any more"
    assert words[len(KNOWN) :] == ["birds", "a", "fly", "runs", "sing"], "a new stop word is among the rest"


def test_a_known_word_counts_as_eligible_though_it_has_become_rare():
    rows = images(("1", ["cat bird", "dog"]), ("2", ["dog bird"]), ("3", ["dog wolf"]))
    words = build(rows, NO_LIST.replace(vocabulary="grow", min_images=2), KNOWN)
    assert words == [*KNOWN, "bird"], "`cat bird` is kept, `dog wolf` is not"


def test_a_frozen_vocabulary_is_the_known_one():
    rows = images(("1", ["the dog runs"]), ("2", ["the dog"]))
    assert build(rows, NO_LIST.replace(vocabulary="frozen"), KNOWN) == list(KNOWN)


@pytest.mark.parametrize("mode", ["grow", "frozen"])
def test_without_a_known_vocabulary_one_is_built(mode: str):
    rows = images(("1", ["the dog"]))
    assert vocabulary.known_words("", NO_LIST.replace(vocabulary=mode)) == ()
    assert build(rows, NO_LIST.replace(vocabulary=mode)) == build(rows, NO_LIST)


def test_the_known_words_are_read_only_where_they_count(tmp_path: pathlib.Path):
    path = tmp_path / "vocabulary"
    path.write_text("".join(f"{word}\n" for word in KNOWN), encoding="utf-8")
    assert vocabulary.known_words(str(path), NO_LIST.replace(vocabulary="grow")) == KNOWN
    assert vocabulary.known_words(str(path), NO_LIST) == ()


def test_a_frozen_vocabulary_that_no_caption_fits_says_what_to_change(tmp_path: pathlib.Path):
    with pytest.raises(ValueError, match=r"the 8 of the model in service.* set corpus\.vocabulary=rebuild"):
        vocabulary._write({}, str(tmp_path), CorpusConfig(vocabulary="frozen"), KNOWN)


def test_an_empty_vocabulary_says_what_to_change(tmp_path: pathlib.Path):
    with pytest.raises(ValueError, match=r"at least 5 images .* lower corpus\.min_images"):
        vocabulary._write({}, str(tmp_path), CorpusConfig(), ())


# --- the file ---


def test_the_file_is_read_back_with_the_size_of_its_one_hot_part(tmp_path: pathlib.Path):
    path = tmp_path / "vocabulary"
    words = build(images(("1", ["a dog in the snow", "été ."])), NO_LIST)
    path.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    read = Vocabulary.load(str(path), NO_LIST)
    assert read.words == tuple(words)
    assert len(read) == 5 + 4 + 3
    assert read.base_size == 5 + 4  # . a in the
    assert Vocabulary.load(str(path), NO_LIST.replace(stop_words="none")).base_size == 5


def test_the_stop_words_are_the_original_ones():
    assert {"a", "wouldn't", "y", "#", "?"} <= STOP_WORDS
    assert len(STOP_WORDS) == 179 + 15
    assert not {"man", "two", "{UNK}"} & STOP_WORDS


# --- real captions ---


def test_flickr8k_by_the_rules_written_down_anew(flickr8k: pathlib.Path, tmp_path: pathlib.Path):
    captions = collections.defaultdict(list)
    for line in (flickr8k / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines():
        name, caption = line.split("\t")
        captions[name.split("#")[0]].append(caption)
    corpus = CorpusConfig(word_vectors="none", max_tokens=15)

    texts = {image: [caption.lower().split() for caption in mine] for image, mine in captions.items()}
    in_images = collections.Counter(w for mine in texts.values() for w in {w for c in mine for w in c})
    kept = [c for mine in texts.values() for c in mine if len(c) <= 15 and all(in_images[w] >= 5 for w in c)]
    counts = collections.Counter(word for caption in kept for word in caption)
    stop = sorted((w for w in counts if w in STOP_WORDS), key=lambda w: (-counts[w], w))
    rest = sorted((w for w in counts if w not in STOP_WORDS), key=lambda w: (-counts[w], w))

    words = build(texts.items(), corpus)
    assert words == [*ACTION_WORDS, *stop, *rest]
    assert len(words) > 2000
    assert build_in_beam(list(captions.items()), {"flickr8k": corpus}, tmp_path)["flickr8k"] == words
