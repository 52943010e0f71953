"""What a user sees of whole runs. The tests follow one another on one pipeline, as a user's runs do."""

import contextlib
import json
import pathlib
import shutil
from collections.abc import Iterator

import pytest

from pipeline import cli, run_pipeline, runs
from pipeline.errors import UserError
from tests.e2e.conftest import Small, import_scenes

PICTURES = 230  # train and eval of the first span
SHUFFLED = ("train.shuffle_captions=true", "train.epochs=4")


def features_made(small: Small) -> int:
    """Images in the feature store: each is a row there, once for each time that it was computed."""
    from components.image_featurizer.feature_store import FeatureReader

    (store,) = pathlib.Path(small.paths.feature_store).iterdir()  # one encoder, one store
    return len(FeatureReader(str(store / "packs"), row_bytes=4 * 4 * 256 * 2))


@contextlib.contextmanager
def another_span(small: Small, seed: int) -> Iterator[None]:
    """A span of 15 pictures, and a run over it that goes no further than to their features."""
    import_scenes(pathlib.Path(small.data), (12, 3, 0), seed)
    with pytest.raises(UserError, match="Transform failed"):
        small.run("corpus.min_images=100000")
    try:
        yield
    finally:
        shutil.rmtree(sorted(pathlib.Path(small.data).glob("span-*"))[-1])


def test_the_first_run_pushes_a_whole_model(small: Small):
    assert small.first.verdict.blessed, small.first.verdict.sentences
    assert not small.first.refused
    assert small.first.pushed is not None
    version = pathlib.Path(small.first.pushed)
    assert small.versions() == [version.name]
    assert (version / "saved_model.pb").is_file()
    assert (
        (version / "assets" / "vocabulary")
        .read_text()
        .startswith("{MASK}\n{UNK}\n{START}\n{STOP}\n{EXTRA}\n")
    )
    assert (version / "assets.extra" / "tf_serving_warmup_requests").stat().st_size > 0
    assert features_made(small) == PICTURES


def test_the_verdict_names_every_gated_metric_and_is_kept_as_data(small: Small):
    text = " ".join(small.first.verdict.sentences)
    for metric in ("BLEU-4", "CIDEr-D", "cross-entropy"):
        assert metric in text
    (record,) = pathlib.Path(small.paths.reports).glob("*/verdict.json")
    assert json.loads(record.read_text())["blessed"] is True


def test_the_run_leaves_a_record_a_page_and_a_card(small: Small, capfd: pytest.CaptureFixture[str]):
    (run,) = runs.find_all(small.paths)
    assert run.state == runs.PUSHED
    assert run.pushed == small.first.pushed
    assert [node.state for node in run.nodes] == ["done"] * 12
    assert run.spans[0]["splits"]["eval"]["images"] == 30
    page = pathlib.Path(small.paths.report(run.id, "report.html")).read_text("utf-8")
    assert small.first.verdict.sentences[0] in page
    assert 'loading="lazy"' in page
    card = pathlib.Path(small.paths.report(run.id, "model_card.md")).read_text("utf-8")
    assert "| scenes | 236 |" in card
    capfd.readouterr()
    assert cli.main(["explain", "--root", small.root]) == 0
    assert capfd.readouterr().out.splitlines()[:-1] == small.first.verdict.sentences
    assert cli.main(["runs", "--root", small.root]) == 0
    listed = capfd.readouterr().out
    assert run.id in listed
    assert "pushed" in listed
    assert cli.main(["report", run.id[:8], "--root", small.root, "--pictures", "2"]) == 0
    assert pathlib.Path(small.paths.report(run.id, "report.html")).read_text("utf-8").count("<img") == 4


def test_captions_are_known_as_novel_or_not_and_images_by_their_objects(small: Small):
    verdict = small.first.verdict
    assert 0 <= verdict.overall["novel_captions"] <= 1
    assert {"objects=1", "objects=2"} <= set(verdict.metrics)


def test_the_same_run_again_computes_and_pushes_nothing(small: Small, capfd: pytest.CaptureFixture[str]):
    versions = small.versions()
    capfd.readouterr()
    outcome = small.run()
    progress = capfd.readouterr().err
    assert "done in" not in progress, progress
    assert progress.count("cached in") == 12
    assert outcome.verdict == small.first.verdict
    assert small.versions() == versions


def test_a_model_of_shuffled_captions_is_refused_and_the_run_says_why(
    small: Small, capfd: pytest.CaptureFixture[str]
):
    versions = small.versions()
    outcome = small.run(*SHUFFLED)
    assert not outcome.verdict.blessed
    assert outcome.pushed is None
    assert small.versions() == versions
    said = capfd.readouterr().out
    assert "Nothing was pushed" in said
    failed = [check for check in outcome.verdict.checks if not check.passed]
    assert failed, "a refusal has a reason"
    for check in failed:
        assert check.sentence in said
    assert runs.find(small.paths, "latest").state == runs.REFUSED


def test_a_person_may_push_a_refused_model_and_only_judging_is_done_again(
    small: Small, capfd: pytest.CaptureFixture[str]
):
    versions = small.versions()
    capfd.readouterr()
    outcome = small.run(*SHUFFLED, force_bless="to see it in service")
    progress = capfd.readouterr().err
    assert progress.count("done in") == 2, progress
    assert outcome.verdict.forced == "to see it in service"
    assert outcome.pushed
    assert len(small.versions()) == len(versions) + 1
    page = pathlib.Path(small.paths.report(runs.find(small.paths, "latest").id, "report.html"))
    assert "Blessed by force: “to see it in service”" in page.read_text("utf-8")


def test_after_a_rollback_the_version_before_is_in_service_and_the_baseline(
    small: Small, capfd: pytest.CaptureFixture[str]
):
    assert cli.main(["rollback", "--root", small.root, "--reason", "its captions are shuffled"]) == 0
    assert small.first.pushed is not None
    assert small.versions() == [pathlib.Path(small.first.pushed).name]
    refused = small.run(*SHUFFLED)
    assert refused.verdict.baseline_version == small.versions()[0]
    assert refused.pushed is None
    outcome = small.run()
    assert (outcome.pushed, outcome.pushed_before) == (small.first.pushed, True)
    capfd.readouterr()
    assert cli.main(["versions", "--root", small.root]) == 0
    listed = capfd.readouterr().out
    assert "rolled back" in listed
    assert "its captions are shuffled" in listed


def test_a_canary_is_on_trial_until_it_is_promoted(small: Small, capfd: pytest.CaptureFixture[str]):
    versions = small.versions()
    trial = small.run(*SHUFFLED, "push.canary=true", force_bless="to see it on trial")
    assert trial.canary
    assert trial.pushed is not None
    assert "Pushed as canary" in capfd.readouterr().out
    assert small.versions() == versions
    assert cli.main(["promote", "--root", small.root]) == 0
    assert small.versions() == [*versions, pathlib.Path(trial.pushed).name]
    assert cli.main(["rollback", "--root", small.root, "--reason", "the trial is over"]) == 0
    assert small.versions() == versions


def test_of_a_new_span_only_its_images_are_featurized(small: Small):
    before = features_made(small)
    with another_span(small, seed=2):
        assert features_made(small) == before + 15


def test_data_that_does_not_fit_the_schema_stops_the_run(small: Small, tmp_path: pathlib.Path):
    import tensorflow as tf

    span = tmp_path / "data" / "span-0001"
    span.mkdir(parents=True)
    for split in ("train", "eval"):
        source = next(pathlib.Path(small.data, "span-0001").glob(f"{split}-*"))
        with tf.io.TFRecordWriter(str(span / source.name), "GZIP") as writer:
            for record in tf.data.TFRecordDataset(str(source), "GZIP").take(5).as_numpy_iterator():
                example = tf.train.Example.FromString(record)
                example.features.feature["width"].int64_list.value[:] = [0]
                writer.write(example.SerializeToString())
    with pytest.raises(UserError, match=r"(?s)SpanExampleGen failed: no accepted span is left.*'width'"):
        run_pipeline.run(small.config, str(tmp_path / "data"), str(tmp_path / "root"))
    assert not pathlib.Path(tmp_path, "root", "features").exists(), "nothing is computed of bad data"


def test_an_empty_vocabulary_stops_the_run(small: Small):
    with pytest.raises(UserError, match=r"Transform failed.*the vocabulary is empty.*corpus\.min_images"):
        small.run("corpus.min_images=100000")
    run = runs.find(small.paths, "latest")
    assert (run.state, run.nodes[-1].name, run.nodes[-1].state) == (runs.FAILED, "Transform", runs.FAILED)
    assert "the vocabulary is empty" in run.error
    assert pathlib.Path(small.paths.report(run.id, "report.html")).exists()


def test_a_loss_that_is_no_number_stops_the_run(small: Small):
    with pytest.raises(UserError, match=r"Trainer failed.*the training loss is nan.*learning_rate"):
        small.run("train.learning_rate=1e30", "train.clip_norm=1e30", "train.epochs=2")


def test_a_missing_split_is_named_before_anything_starts(small: Small, tmp_path: pathlib.Path):
    import_scenes(tmp_path / "data", (4, 0, 0), seed=1)
    with pytest.raises(UserError, match="no eval split"):
        run_pipeline.run(small.config, str(tmp_path / "data"), str(tmp_path / "root"))


def test_a_second_run_in_the_same_root_is_refused(small: Small):
    with run_pipeline.lock(small.paths), pytest.raises(UserError, match="another run is under way"):
        small.run()
