"""Expected words are the output of Stanford's PTBTokenizer 3.4.1, less coco-caption's punctuation."""

import pytest

from models.metrics.tokenizer import tokenize


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A man, a plan.", "a man a plan"),
        ("Two dogs run through the snow .", "two dogs run through the snow"),
        ('A sign says "stop"; it\'s red!', "a sign says stop it 's red"),
        (
            "tri-coloured dog -- on the and/or off-road track...",
            "tri-coloured dog on the and/or off-road track",
        ),
        ("An em—dash, an ellipsis… and “quotes”", "an em dash an ellipsis and quotes"),
        ("wow !!! what ??? really !?", "wow !!! what ??? really !?"),
    ],
)
def test_punctuation_goes_and_words_are_lower_case(caption: str, words: str) -> None:
    assert tokenize(caption) == tuple(words.split())


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("the man's dog doesn't bark", "the man 's dog does n't bark"),
        ("They're sure he'd've said I'm late", "they 're sure he 'd 've said i 'm late"),
        ("the boys' dog won't and can't", "the boys dog wo n't and ca n't"),
        ("it cannot, I'm gonna", "it can not i 'm gon na"),
        ("it's don\u2019t", "it 's do n't"),
        ("rock 'n' roll at ten o'clock with O'Neill", "rock 'n' roll at ten o'clock with o'neill"),
        ("already the dog 's , is n't", "already the dog 's is n't"),
    ],
)
def test_contractions_are_split_as_in_the_penn_treebank(caption: str, words: str) -> None:
    assert tokenize(caption) == tuple(words.split())


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("St. James Rd. with Mr. White etc.", "st. james rd. with mr. white etc."),
        ("at 5 p.m. in the U.S. by J.R.", "at 5 p.m. in the u.s. by j.r."),
        ("no. 5 is a no.", "no. 5 is a no"),
        ("a mass. In Mass.", "a mass in mass."),
        ("at 5:55 a bus costs $1,000.50", "at 5:55 a bus costs $ 1,000.50"),
        ("the 20's , the '70s , 50% , 2nd #1", "the 20 's the '70s 50 % 2nd # 1"),
        ("black & white R&B at AT&T &amp; more", "black & white r&b at at&t & more"),
    ],
)
def test_abbreviations_and_numbers_keep_their_marks(caption: str, words: str) -> None:
    assert tokenize(caption) == tuple(words.split())


def test_brackets_stay_as_coco_caption_leaves_them() -> None:
    words = ("a", "-lrb-", "small", "-rrb-", "dog")
    assert tokenize("A (small) dog") == words
    assert tokenize(" ".join(words)) == words, "tokenised text stays as it is"


@pytest.mark.parametrize("caption", ["", " ", "\n", ".", "...", "\x00", "“”", "😀"])
def test_a_caption_without_words_has_no_words(caption: str) -> None:
    assert tokenize(caption) == ()


def test_a_caption_of_any_size_is_read() -> None:
    assert len(tokenize("dog " * 10_000)) == 10_000
    assert len(tokenize("a" * 100_000)) == 1
