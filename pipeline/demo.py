"""The demo: generated pictures through the whole path, ending with a server's captions of unseen ones."""

import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Sequence

import rich.console

from models.features import CAPTIONS, IMAGE_ENCODED, IMAGE_ID
from pipeline import configs_by_name, gallery, run_pipeline
from pipeline.config import override
from pipeline.errors import UserError
from pipeline.importers import scene_grammar, scenes
from pipeline.importers.importer import ImportOptions, import_source
from pipeline.importers.span import existing_spans, span_name
from pipeline.paths import Paths

_START_TIMEOUT_S = 120.0


@dataclasses.dataclass(frozen=True)
class Scores:
    """Shares of the held-out pictures whose best caption gets these right, each in [0, 1]."""

    colours: float
    relation: float
    whole: float

    def sentence(self, pictures: int) -> str:
        return (
            f"Of {pictures} held-out pictures {self.colours:.0%} got the right colours, {self.relation:.0%} "
            f"the right relation and {self.whole:.0%} a wholly right caption."
        )


def run(
    folder: pathlib.Path, assignments: Sequence[str], counts: tuple[int, int, int], shown: int, verbose: bool
) -> Scores:
    """Imports, trains, pushes, serves and asks, all under `folder`; prints captions and writes report.html.

    Args:
      folder: kept between runs, so that a second run has little to do.
      assignments: `--set` overrides.
      counts: train, eval and held-out pictures.
      shown: pictures printed with their references.
      verbose: show the libraries' log.

    Raises:
      UserError: a component failed, or nothing was pushed and no earlier model is in service.
    """
    console = rich.console.Console(stderr=True)
    data, root = folder / "data", folder / "run"
    if not existing_spans(data):
        console.print("[bold]drawing pictures and writing their captions[/bold]")
        import_source(scenes.make_source(*counts, seed=1), data, ImportOptions())
    config = override(configs_by_name.load("demo"), list(assignments))
    outcome = run_pipeline.run(config, str(data), str(root), verbose)
    serving = pathlib.Path(Paths(str(root)).serving)
    if not any(serving.glob("*/saved_model.pb")):
        raise UserError(f"no model was good enough to be pushed to {serving}; the sentences above say why")
    pictures = _held_out(data)
    console.print("\n[bold]asking the server for captions of pictures it has never seen[/bold]")
    answers = _ask(str(serving), [jpeg for _, jpeg, _ in pictures])
    facts = _facts(data)
    judged = [
        scene_grammar.judge(scene_grammar.parse_caption(captions[0]), facts[image_id])
        for (image_id, _, _), captions in zip(pictures, answers, strict=True)
    ]
    scores = Scores(
        *(sum(getattr(j, name) for j in judged) / len(judged) for name in ("colours", "relation", "whole"))
    )
    page = [
        gallery.Picture(image_id, jpeg, captions, references, judgement.whole)
        for (image_id, jpeg, references), captions, judgement in zip(pictures, answers, judged, strict=True)
    ]
    for picture in page[:shown]:
        print(f"\n{picture.image_id}: {picture.captions[0]}")
        for reference in picture.references:
            print(f"    written: {reference}")
    report = folder / "report.html"
    summary = [scores.sentence(len(pictures)), *outcome.verdict.sentences]
    gallery.write(report, "Captions of held-out pictures", summary, page)
    print(f"\n{scores.sentence(len(pictures))}")
    print(f"Pictures: {report}")
    command = os.path.relpath(sys.argv[0])
    print(f"Serve it: {command} serve --model-dir {os.path.relpath(serving)}")
    print(f"Ask it:   {command} caption {folder / 'photo.jpg'}")
    (folder / "photo.jpg").write_bytes(pictures[0][1])
    return scores


def _held_out(data: pathlib.Path) -> list[tuple[str, bytes, list[str]]]:
    """(image id, JPEG, references) of every picture of the test split."""
    import tensorflow as tf

    shards = sorted(str(path) for path in data.glob(f"{span_name(1)}/test-*.tfrecord.gz"))
    pictures = []
    for record in tf.data.TFRecordDataset(shards, compression_type="GZIP").as_numpy_iterator():
        feature = tf.train.Example.FromString(record).features.feature
        pictures.append(
            (
                feature[IMAGE_ID].bytes_list.value[0].decode("utf-8"),
                feature[IMAGE_ENCODED].bytes_list.value[0],
                [caption.decode("utf-8") for caption in feature[CAPTIONS].bytes_list.value],
            )
        )
    return pictures


def _facts(data: pathlib.Path) -> dict[str, scene_grammar.SceneClaim]:
    lines = (data / span_name(1) / scenes.FACTS_FILE).read_text("utf-8").splitlines()
    scenes_ = [json.loads(line) for line in lines]
    return {scene["image_id"]: scene_grammar.SceneClaim.from_dict(scene) for scene in scenes_}


def _ask(model_dir: str, images: list[bytes]) -> list[list[str]]:
    from components.serving_validator.server_process import ServerProcess
    from serving import client

    with ServerProcess(model_dir) as process:
        process.wait_ready(_START_TIMEOUT_S)
        with client.CaptionClient(process.address, timeout_s=60.0) as server:
            answers = server.caption(images)
    captions = []
    for answer in answers:
        if not isinstance(answer, client.Captions):
            raise UserError(f"the server could not caption a picture of the demo: {answer}")
        captions.append(list(answer.texts))
    return captions
