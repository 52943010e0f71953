"""Whole imports through Beam: what a span holds, and that it is there whole or not at all."""

import dataclasses
import hashlib
import io
import json
import pathlib
import random

import apache_beam as beam
import pytest
import tensorflow as tf
from PIL import Image

from models import features
from pipeline.errors import UserError
from pipeline.importers import importer, scenes, shards
from pipeline.importers.flickr import read_flickr8k
from pipeline.importers.folder import read_folder
from pipeline.importers.importer import ImportOptions, import_source
from pipeline.importers.records import FileOnDisk, Source


def read_span(span: pathlib.Path) -> dict[str, dict]:
    """The examples of a span by image id, with the split they were found in."""
    found = {}
    for path in sorted(span.glob("*.tfrecord.gz")):
        for record in tf.data.TFRecordDataset(str(path), compression_type="GZIP").as_numpy_iterator():
            feature = tf.train.Example.FromString(record).features.feature
            values = {name: list(getattr(f, f.WhichOneof("kind")).value) for name, f in feature.items()}
            image_id = values[features.IMAGE_ID][0].decode()
            assert image_id not in found
            found[image_id] = values | {"split": path.name.split("-")[0]}
    return found


def files_of(span: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in span.iterdir()}


def small(**options) -> ImportOptions:
    return ImportOptions(shard_images=4, **options)


@pytest.fixture
def photos(write_files, image_file):
    """Ten good photos with two captions each."""
    rows = [f"{n}.jpg,Caption {k} of {n}" for n in range(10) for k in range(2)]
    files = {f"{n}.jpg": image_file(seed=n) for n in range(10)}
    return write_files(files | {"captions.csv": "\n".join(["file,caption", *rows])})


def test_examples_hold_what_the_contract_says(photos, tmp_path):
    import_source(read_folder(photos), tmp_path / "data", small())
    found = read_span(tmp_path / "data" / "span-0001")
    assert set(found) == {f"{n}.jpg" for n in range(10)}
    for image_id, example in found.items():
        data = (photos / image_id).read_bytes()
        assert example == {
            features.IMAGE_ID: [image_id.encode()],
            features.IMAGE_ENCODED: [data],
            features.CAPTIONS: [f"Caption {k} of {image_id[0]}".encode() for k in range(2)],
            features.SOURCE: [b"folder"],
            features.SPAN: [1],
            features.WIDTH: [30],
            features.HEIGHT: [20],
            features.CONTENT_HASH: [hashlib.sha256(data).hexdigest().encode()],
            "split": example["split"],
        }


def test_what_is_known_of_objects_and_people_is_kept(photos, tmp_path):
    source = read_folder(photos)
    first, *others = source.entries
    counted = dataclasses.replace(first, objects=3, people=0)
    import_source(dataclasses.replace(source, entries=[counted, *others]), tmp_path / "data", small(span="4"))
    found = read_span(tmp_path / "data" / "span-0004")
    example = found.pop(first.image_id)
    assert (example[features.OBJECTS], example[features.PEOPLE], example[features.SPAN]) == ([3], [0], [4])
    assert all(features.OBJECTS not in example for example in found.values())


def test_the_manifest_describes_the_files(photos, tmp_path):
    returned = import_source(read_folder(photos), tmp_path / "data", small())
    span = tmp_path / "data" / "span-0001"
    manifest = json.loads((span / importer.MANIFEST).read_text())
    assert manifest == returned
    assert (manifest["source"], manifest["span"]) == ("folder", 1)
    assert (manifest["images"], manifest["captions"], manifest["rejected"]) == (10, 20, {})
    found = read_span(span)
    listed = []
    for split, content in manifest["splits"].items():
        assert content["images"] == sum(example["split"] == split for example in found.values())
        for shard in content["shards"]:
            data = (span / shard["file"]).read_bytes()
            assert (shard["bytes"], shard["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
            listed.append(shard["file"])
    assert sorted(path.name for path in span.iterdir()) == sorted(
        [*listed, importer.MANIFEST, importer.REJECTED]
    )


def test_every_kind_of_bad_file_is_reported_and_no_good_one_is_lost(
    write_files, image_file, tmp_path, monkeypatch
):
    grey = image_file("PNG", Image.new("L", (9, 9), 128))
    good = {
        "photo.jpg": image_file(),
        "grey.png": grey,
        "anim.gif": image_file("GIF"),
        "x.webp": image_file("WEBP"),
    }
    bad = {
        "empty.jpg": ("empty_file", b""),
        "page.jpg": ("not_an_image", b"<html>"),
        "cut.jpg": ("truncated", image_file()[:700]),
        "huge.png": ("too_many_pixels", image_file("PNG", Image.new("RGB", (40, 40)))),
        "gone.jpg": ("missing_image", None),
        "locked.jpg": ("unreadable", image_file()),
    }
    rows = [{"file": name, "caption": f"This is {name}"} for name in (*good, *bad)]
    rows += [{"file": "photo.jpg", "caption": " "}, {"file": "mute.jpg", "caption": ""}]
    table = (
        "\n".join(json.dumps(row) for row in rows).encode()
        + b'\n{"file": "photo.jpg", "caption": "\xff"}\nrow'
    )
    contents = {name: data for name, (_, data) in bad.items() if data is not None}
    folder = write_files(good | contents | {"mute.jpg": image_file(seed=9), "captions.jsonl": table})
    read = FileOnDisk.read

    def read_unless_locked(self):  # permissions do not stop a test that runs as root
        if self.path.endswith("locked.jpg"):
            raise PermissionError(13, "Permission denied")
        return read(self)

    monkeypatch.setattr(FileOnDisk, "read", read_unless_locked)
    options = small(max_rejected=0.7, max_pixels=1000)
    manifest = import_source(read_folder(folder), tmp_path / "data", options)

    span = tmp_path / "data" / "span-0001"
    listed = [json.loads(line) for line in (span / importer.REJECTED).read_text().splitlines()]
    images = {r["image_id"]: r["reason"] for r in listed if r["image_id"] not in ("", "photo.jpg")}
    assert images.pop("mute.jpg") == "no_captions"
    assert images == {name: reason for name, (reason, _) in bad.items()}
    reasons = [r["reason"] for r in listed]
    assert manifest["rejected"] == {reason: reasons.count(reason) for reason in manifest["rejected"]}
    assert sum(manifest["rejected"].values()) == len(listed)
    assert (
        manifest["rejected"] | {"empty_caption": 2, "caption_not_utf8": 1, "bad_row": 1}
        == manifest["rejected"]
    )
    assert (manifest["images"], manifest["images_read"]) == (4, 11)
    assert all(r["path"] and r["detail"] for r in listed)

    found = read_span(span)
    assert set(found) == set(good)
    assert found["photo.jpg"][features.IMAGE_ENCODED] == [good["photo.jpg"]]
    for example in found.values():
        image = Image.open(io.BytesIO(example[features.IMAGE_ENCODED][0]))
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert image.size == (example[features.WIDTH][0], example[features.HEIGHT][0])


def test_too_much_bad_input_fails_and_leaves_nothing(photos, tmp_path):
    (photos / "3.jpg").write_bytes(b"")
    data = tmp_path / "new" / "data"
    with pytest.raises(UserError) as caught:
        import_source(read_folder(photos), data, small(max_rejected=0.05))
    assert "1 of 10 images were rejected (10.0%; --max-rejected allows 5.0%)" in str(caught.value)
    assert "empty_file: 1" in str(caught.value)
    assert "3.jpg" in str(caught.value)
    assert not data.parent.exists()
    assert import_source(read_folder(photos), data, small(max_rejected=0.1))["images"] == 9


def test_too_many_bad_captions_fail_as_well(photos, tmp_path):
    with open(photos / "captions.csv", "a") as table:
        table.write("\n0.jpg, \n0.jpg, \n")
    with pytest.raises(UserError, match="2 of 22 captions were rejected"):
        import_source(read_folder(photos), tmp_path / "data", small(max_rejected=0.05))
    assert not (tmp_path / "data").exists()


def test_nothing_to_import_is_an_error(tmp_path):
    with pytest.raises(UserError, match="nothing to import"):
        import_source(Source("folder", []), tmp_path / "data", small())


def test_nothing_left_is_an_error_at_any_limit(photos, tmp_path):
    for path in photos.glob("*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="nothing to import"):
        import_source(read_folder(photos), tmp_path / "data", small(max_rejected=1.0))


def test_the_same_input_gives_the_same_files(tmp_path):
    for name in ("first", "again"):
        import_source(scenes.make_source(9, 2, 2), tmp_path / name, small())
    first, again = (files_of(tmp_path / name / "span-0001") for name in ("first", "again"))
    assert first == again
    assert sum(name.startswith("train-") for name in first) == 3
    assert scenes.FACTS_FILE in first


def test_identical_pictures_are_kept_and_reported(photos, tmp_path):
    (photos / "7.jpg").write_bytes((photos / "2.jpg").read_bytes())
    manifest = import_source(read_folder(photos), tmp_path / "data", small())
    found = read_span(tmp_path / "data" / "span-0001")
    assert len(found) == 10
    (group,) = manifest["identical_pictures"]
    assert group["image_ids"] == ["2.jpg", "7.jpg"]
    assert set(group["splits"]) == {found["2.jpg"]["split"], found["7.jpg"]["split"]}
    assert group["content_hash"].encode() == found["2.jpg"][features.CONTENT_HASH][0]


def test_a_shard_of_which_nothing_is_left_can_be_read(write_files, image_file, tmp_path):
    tokens = "".join(f"{name}.jpg#0\tA photo\n" for name in "ab")
    files = {"Flickr8k.token.txt": tokens, "images/a.jpg": image_file(), "images/b.jpg": b""}
    files |= {"Flickr_8k.trainImages.txt": "a.jpg\n", "Flickr_8k.devImages.txt": "b.jpg\n"}
    import_source(read_flickr8k(write_files(files)), tmp_path / "data", small(max_rejected=0.5))
    assert (tmp_path / "data" / "span-0001" / "eval-00000-of-00001.tfrecord.gz").exists()
    assert set(read_span(tmp_path / "data" / "span-0001")) == {"a.jpg"}


def test_a_failing_pipeline_leaves_nothing(photos, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards, "make_example", fail)
    with pytest.raises(UserError, match="No space left on device"):
        import_source(read_folder(photos), tmp_path / "data", small())
    assert not (tmp_path / "data").exists()


def test_a_fault_of_the_machine_is_not_taken_for_a_bad_file(photos, tmp_path, monkeypatch):
    def fail(self):
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(FileOnDisk, "read", fail)
    with pytest.raises(UserError, match="Stale file handle"):
        import_source(read_folder(photos), tmp_path / "data", small(max_rejected=1.0))
    assert not (tmp_path / "data").exists()


def test_a_worker_that_does_not_see_the_source_does_not_take_it_for_empty(photos, tmp_path):
    source = read_folder(photos)
    photos.rename(tmp_path / "not mounted")
    with pytest.raises(UserError, match="every worker must see the --source at the same path"):
        import_source(source, tmp_path / "data", small(max_rejected=1.0))
    assert not (tmp_path / "data").exists()


def test_other_beam_flags_reach_the_runner(photos, tmp_path):
    flags = ("--direct_running_mode=multi_threading", "--direct_num_workers=2")
    import_source(read_folder(photos), tmp_path / "threads", small(beam_args=flags))
    import_source(read_folder(photos), tmp_path / "plain", small())
    assert files_of(tmp_path / "threads" / "span-0001") == files_of(tmp_path / "plain" / "span-0001")
    with pytest.raises(UserError, match="NoSuchRunner"):
        import_source(read_folder(photos), tmp_path / "none", small(beam_args=("--runner=NoSuchRunner",)))


def test_the_job_is_as_small_however_much_is_imported(photos, tmp_path, monkeypatch):
    jobs = []

    class Recording(beam.Pipeline):
        def run(self, *args, **kwargs):
            jobs.append(self.to_runner_api().ByteSize())
            return super().run(*args, **kwargs)

    monkeypatch.setattr(beam, "Pipeline", Recording)
    source = read_folder(photos)
    wordy = [
        dataclasses.replace(entry, captions=(random.randbytes(50_000).hex(),)) for entry in source.entries
    ]
    import_source(source, tmp_path / "few", small())
    import_source(dataclasses.replace(source, entries=wordy), tmp_path / "all", small())
    few, many = jobs
    assert many == pytest.approx(few, abs=500)


def test_a_shard_that_a_retried_worker_writes_again_is_the_same(photos, tmp_path):
    source = read_folder(photos)
    (shard, *_) = planned = shards.plan_shards(source.entries, 4)
    folder = tmp_path / "span"
    folder.mkdir()
    shards.write_shards(planned, folder, "folder", 1, 10**6, ())
    before = files_of_shards(folder)
    list(shards.WriteShard(str(folder), "folder", 1, 10**6).process(shard.name))
    assert files_of_shards(folder) == before


def files_of_shards(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_shards_are_even_and_stable():
    entries = scenes.make_source(10, 3, 0).entries
    planned = shards.plan_shards(entries, 4)
    assert [(shard.name, len(shard.entries)) for shard in planned] == [
        ("train-00000-of-00003.tfrecord.gz", 3),
        ("train-00001-of-00003.tfrecord.gz", 3),
        ("train-00002-of-00003.tfrecord.gz", 4),
        ("eval-00000-of-00001.tfrecord.gz", 3),
    ]
    assert planned == shards.plan_shards(entries[::-1], 4)


def test_the_direct_runner_does_not_look_for_prism(photos, tmp_path, monkeypatch):
    """Beam would download the Prism binary; the fallback after a failure hides that it tried."""
    calls = []
    monkeypatch.setattr(
        "apache_beam.runners.portability.prism_runner.PrismRunner.run_pipeline",
        lambda *args: calls.append(args),
    )
    for number, flags in enumerate(((), ("--runner=DirectRunner",))):
        import_source(read_folder(photos), tmp_path / str(number), small(beam_args=flags))
    assert calls == []
