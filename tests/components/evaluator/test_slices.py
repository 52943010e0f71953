import pytest

from components.evaluator.slices import slices_of


def test_an_image_is_in_a_slice_of_everything_that_is_known() -> None:
    known = {"source": [b"coco"], "span": [3], "objects": [2], "people": [0]}
    assert slices_of(known, ["A dog runs."]) == {
        "source": "coco",
        "span": "3",
        "objects": "2",
        "people": "0",
        "caption_length": "0-8",
    }


def test_what_is_not_known_makes_no_slice() -> None:
    assert slices_of({"objects": []}, ["a dog"]) == {"caption_length": "0-8"}


@pytest.mark.parametrize(("count", "name"), [(1, "1"), (3, "3-5"), (5, "3-5"), (6, "6+"), (40, "6+")])
def test_counts_are_put_together(count: int, name: str) -> None:
    assert slices_of({"people": [count]}, ["a dog"])["people"] == name


@pytest.mark.parametrize(
    ("lengths", "name"),
    [((8,), "0-8"), ((8, 10), "9-12"), ((12,), "9-12"), ((13, 30), "13+")],
)
def test_the_mean_length_of_the_captions_decides(lengths: tuple[int, ...], name: str) -> None:
    references = [" ".join(["word"] * length) + " ." for length in lengths]
    assert slices_of({}, references)["caption_length"] == name
