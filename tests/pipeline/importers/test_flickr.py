"""Reading Flickr8k and Flickr30k from the files that their users have."""

import io
import json
import tarfile

import pytest

from pipeline.errors import UserError
from pipeline.importers.flickr import read_flickr8k, read_flickr30k
from pipeline.importers.records import Reason, split_by_hash
from tests.conftest import DATA

TOKENS = "".join(f"{name}.jpg#{k}\tCaption {k} of {name} .\n" for name in "abcd" for k in range(2))
IMAGES = {f"Flicker8k_Dataset/{name}.jpg": "-" for name in "abcd"}
LISTS = {
    "Flickr_8k.trainImages.txt": "a.jpg\nb.jpg\n",
    "Flickr_8k.devImages.txt": "c.jpg\n",
    "Flickr_8k.testImages.txt": "d.jpg\n",
}
IMAGES_30K = {f"flickr30k-images/{name}.jpg": "-" for name in "abcd"}


def splits(source):
    return {entry.image_id: entry.split for entry in source.entries}


def reasons(source):
    return [(rejection.reason, rejection.image_id) for rejection in source.rejections]


def test_flickr8k_with_its_lists(write_files):
    folder = write_files({"Flickr8k.token.txt": TOKENS} | IMAGES | LISTS)
    source = read_flickr8k(folder)
    assert source.name == "flickr8k"
    assert splits(source) == {"a.jpg": "train", "b.jpg": "train", "c.jpg": "eval", "d.jpg": "test"}
    assert source.entries[0].captions == ("Caption 0 of a .", "Caption 1 of a .")
    assert source.entries[0].image.path == str(folder / "Flicker8k_Dataset" / "a.jpg")
    assert (source.captions_read, source.unlisted, source.rejections) == (8, 0, [])


def test_images_that_no_list_names_are_left_out_but_not_bad(write_files):
    lists = {name: text for name, text in LISTS.items() if "test" not in name}
    source = read_flickr8k(write_files({"Flickr8k.token.txt": TOKENS} | IMAGES | lists))
    assert "d.jpg" not in splits(source)
    assert (source.unlisted, source.rejections) == (1, [])


def test_without_lists_the_id_decides(write_files):
    source = read_flickr8k(write_files({"Flickr8k.token.txt": TOKENS} | IMAGES))
    assert splits(source) == {f"{name}.jpg": split_by_hash(f"{name}.jpg") for name in "abcd"}


def test_listed_images_that_are_missing_or_have_no_captions(write_files):
    files = {"Flickr8k.token.txt": TOKENS} | IMAGES | LISTS
    del files["Flicker8k_Dataset/a.jpg"]
    files["Flicker8k_Dataset/e.jpg"] = "-"
    files["Flickr_8k.trainImages.txt"] += "e.jpg\nf.jpg\n"
    source = read_flickr8k(write_files(files))
    assert sorted(reasons(source)) == [
        (Reason.MISSING_IMAGE, "a.jpg"),
        (Reason.MISSING_IMAGE, "f.jpg"),
        (Reason.NO_CAPTIONS, "e.jpg"),
    ]
    assert set(splits(source)) == {"b.jpg", "c.jpg", "d.jpg"}


def test_bad_lines_cost_only_themselves(write_files):
    bad = TOKENS.encode() + b"a.jpg#2\tcaf\xe9\na.jpg#3\t  \nno tab here\na.jpg#0\tagain\n\n"
    source = read_flickr8k(write_files({"Flickr8k.token.txt": bad} | IMAGES | LISTS))
    assert reasons(source) == [
        (Reason.CAPTION_NOT_UTF8, "a.jpg"),
        (Reason.EMPTY_CAPTION, "a.jpg"),
        (Reason.BAD_ROW, ""),
        (Reason.DUPLICATE_CAPTION_ID, "a.jpg"),
    ]
    assert source.rejections[0].path == "Flickr8k.token.txt:9"
    assert source.rejections[0].detail == r"the caption is 'caf\\xe9'"
    assert source.captions_read == 12
    assert source.entries[0].captions == ("Caption 0 of a .", "Caption 1 of a .")


def test_windows_line_ends_and_a_byte_order_mark(write_files):
    text = b"\xef\xbb\xbf" + TOKENS.replace("\n", "\r\n").encode()
    source = read_flickr8k(write_files({"Flickr8k.token.txt": text} | IMAGES | LISTS))
    assert source.entries[0].captions == ("Caption 0 of a .", "Caption 1 of a .")
    assert source.rejections == []


@pytest.mark.parametrize("archive", [None, "flickr30k.tar.gz", "flickr30k.tar"])
def test_flickr30k_tokens_loose_or_in_an_archive(write_files, archive):
    folder = write_files(IMAGES_30K)
    if archive:
        with tarfile.open(folder / archive, "w:gz" if archive.endswith("gz") else "w") as tar:
            member = tarfile.TarInfo("flickr30k/results_20130124.token")
            member.size = len(TOKENS)
            tar.addfile(member, io.BytesIO(TOKENS.encode()))
    else:
        (folder / "results_20130124.token").write_text(TOKENS)
    source = read_flickr30k(folder)
    assert {entry.image_id: len(entry.captions) for entry in source.entries} == {
        f"{n}.jpg": 2 for n in "abcd"
    }


def test_flickr30k_with_karpathys_splits(write_files):
    names = {"a": "train", "b": "val", "c": "test"}
    karpathy = {"images": [{"filename": f"{n}.jpg", "split": s, "sentences": []} for n, s in names.items()]}
    files = {"results_20130124.token": TOKENS, "dataset_flickr30k.json": json.dumps(karpathy)} | IMAGES_30K
    source = read_flickr30k(write_files(files))
    assert splits(source) == {"a.jpg": "train", "b.jpg": "eval", "c.jpg": "test"}
    assert source.unlisted == 1


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"Flickr8k.token.txt": TOKENS}, "lacks the images"),
        (IMAGES, "lacks the captions"),
    ],
)
def test_what_is_lacking_is_named(write_files, files, complaint):
    with pytest.raises(UserError, match=complaint):
        read_flickr8k(write_files(files))


def test_no_such_folder(tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        read_flickr8k(tmp_path / "absent")


def test_a_cut_archive_is_named(write_files):
    folder = write_files(IMAGES_30K | {"flickr30k.tar.gz": b"\x1f\x8b\x08\x00broken"})
    with pytest.raises(UserError, match=r"flickr30k\.tar\.gz"):
        read_flickr30k(folder)


def test_something_else_in_place_of_karpathys_file(write_files):
    files = {"results_20130124.token": TOKENS, "dataset_flickr30k.json": '{"images": [{}]}'} | IMAGES_30K
    with pytest.raises(UserError, match="not one of Karpathy's"):
        read_flickr30k(write_files(files))


@pytest.mark.skipif(not (DATA / "flickr8k").is_dir(), reason="no flickr8k folder in CAPTION_DATA")
def test_flickr8k_itself():
    source = read_flickr8k(DATA / "flickr8k")
    counts = {split: list(splits(source).values()).count(split) for split in ("train", "eval")}
    assert counts == {"train": 6000, "eval": 1000}
    assert {len(entry.captions) for entry in source.entries} == {5}
    assert source.rejections == []
