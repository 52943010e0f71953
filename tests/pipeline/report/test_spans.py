"""What the report says of spans: how each was judged, what is in it, how far it has drifted, and the skew."""

import dataclasses
import json
import os
import pathlib
import re

import pytest

from components.drift import compare, statistics
from components.span_example_gen import inspection, records
from components.span_example_gen import spans as spans_
from models import features as names
from pipeline import runs
from pipeline.cli import main
from pipeline.errors import UserError
from pipeline.report import report, spans
from serving.logged_image import LoggedImage
from serving.request_log_files import LogFiles
from tests.browser import CHROMIUM, look
from tests.pipeline.report.conftest import Judged
from tests.pipeline.report.test_report import Page, section

# Mean words of a caption and width of the images, by span.
CONTENT = {1: (10, 500), 2: (10, 500), 3: (3, 500), 4: (10, 4000), 5: (10, 500)}
REFUSED = 4
WINDOW = (2, 3, 5)


def images(number: int) -> list[dict[str, list[float]]]:
    words, width = CONTENT[number]
    return [
        {"caption_words": [words - 1.0, words + 1.0], "width": [float(width)], "height": [375.0]}
        for _ in range(200)
    ]


@pytest.fixture
def judged(make_run, tmp_path) -> Judged:
    """A run whose window are spans 2, 3 and 5 of five; 3 has drifted, 4 is refused."""
    data = tmp_path / "data"
    for number in CONTENT:
        folder = data / f"span-{number:04}"
        folder.mkdir(parents=True)
        (folder / "train-00000-of-00001.tfrecord.gz").write_bytes(bytes(number))
    made = make_run(data=str(data), artifacts={})
    before: list[statistics.Statistics] = []
    found = spans_.find(str(data))
    for span in found:
        counted = statistics.collect(images(span.number))
        folder = inspection.folder(made.paths.spans, span)
        os.makedirs(folder)
        statistics.write(os.path.join(folder, "statistics.pb"), counted)
        drift = compare.measure(statistics.merge(before), counted, 0.1) if before else []
        refused = span.number == REFUSED
        sentences = [each.sentence[0].upper() + each.sentence[1:] for each in drift if each.drifted]
        record = records.Record(
            span.number,
            span.digest,
            records.REFUSED if refused else records.ACCEPTED,
            ("40 % of its images are <known> from span 2.",) if refused else (),
            (*sentences, "3 images cannot be decoded.") if span.number == 3 else (),
            200,
            400,
            drift=tuple(dataclasses.asdict(each) | {"drifted": each.drifted} for each in drift),
        )
        records.write(made.paths.spans, span, record)
        if not refused:
            before.append(counted)
    records.write_word(made.paths.spans, found[4], records.ACCEPTED, "I looked at it")
    folder = tmp_path / "judgements"
    folder.mkdir()
    told = [
        each.to_dict() | {"used": each.span.number in WINDOW}
        for each in records.read(made.paths.spans, found)
    ]
    (folder / records.JUDGEMENTS).write_text(json.dumps(told))
    artifacts = made_artifacts(tmp_path) | {"judgements": str(folder)}
    run = dataclasses.replace(made.run, artifacts=artifacts)
    run.write(made.paths)
    return Judged(made.paths, run)


def made_artifacts(root: pathlib.Path) -> dict[str, str]:
    return {name: str(root / name) for name in ("evaluation", "examples", "model_run", "featurized")}


def rows_of(page: Page, heading: str) -> dict[str, str]:
    """Text of the rows of a section's table by their first cell."""
    found = {}
    for row in re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", section(page, heading), flags=re.DOTALL):
        first, _, rest = row.partition("</th>")
        found[first] = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", rest)).strip()
    return found


def test_each_span_is_told_with_its_judgement_and_statistics(judged) -> None:
    page = Page(report.make(judged.run, judged.paths))
    rows = rows_of(page, "Data statistics")
    assert rows["1"] == "accepted, not in the window 200 400 10 9 to 11 500 500 to 500 375 375 to 375"
    assert rows["2"].startswith("✓ learned from 200 400")
    assert rows["4"] == "✗ refused 200 400 10 9 to 11 4,000 4,000 to 4,000 375 375 to 375"
    assert "✗ Span 4: 40 % of its images are <known> from span 2." in page.text
    assert "Span 3: 3 images cannot be decoded." in page.text
    assert "Span 5 was accepted by a person: “I looked at it”" in page.text


def test_drift_has_distances_and_what_is_allowed(judged) -> None:
    page = Page(report.make(judged.run, judged.paths))
    rows = rows_of(page, "Drift")
    assert list(rows) == ["2", "3", "4", "5"], "the first was compared with nothing"
    assert rows["2"].startswith("0.000 at most 0.1")
    assert rows["3"].startswith("✗ 1.000 at most 0.1")
    assert page.text.count("has drifted: its distribution differs by 1.00") == 2, "said once for each"
    assert 'aria-label="Distance of each span from those before"' in section(page, "Drift")


def test_a_run_that_failed_before_its_window_was_made_tells_what_is_known(judged) -> None:
    known = [{"source": "folder", "span": number} for number in (3, 4)]
    run = runs.Run("20260102-030406", state=runs.FAILED, config=judged.run.config, data=judged.run.data)
    run = dataclasses.replace(run, spans=known, error="no accepted span is left")
    rows = rows_of(Page(report.make(run, judged.paths)), "Data statistics")
    assert list(rows) == ["3", "4"]
    assert rows["3"].startswith("accepted 200 400")
    assert rows["4"].startswith("✗ refused 200 400")


def test_statistics_of_another_content_are_not_shown(judged) -> None:
    (pathlib.Path(judged.run.data) / "span-0002" / "train-00000-of-00001.tfrecord.gz").write_bytes(b"another")
    rows = rows_of(Page(report.make(judged.run, judged.paths)), "Data statistics")
    assert rows["2"] == "✓ learned from 200 400"
    assert len(rows["1"]) > len(rows["2"])


def test_a_run_of_which_no_span_was_judged_has_none_of_this(make_run) -> None:
    made = make_run()
    page = Page(report.make(made.run, made.paths))
    assert {"Data statistics", "Drift", "Skew"}.isdisjoint(page.headings)
    assert spans.trained(spans.rows(made.run, made.paths)) is None


# Skew.


def log(folder: pathlib.Path, count: int, **fields) -> pathlib.Path:
    default = names.SERVING_SIGNATURE
    image = LoggedImage(1.7e9, "captioner", 18, default, "jpeg", 500, 375, 9000, "ok", 3, -2.0)
    files = LogFiles(folder, 1 << 20, 10)
    files.append((dataclasses.replace(image, **fields).to_json() + "\n").encode() * count)
    files.close()
    return folder


def test_requests_in_the_root_are_compared_with_the_window(judged) -> None:
    log(pathlib.Path(judged.paths.root, "requests"), 300)
    page = Page(report.make(judged.run, judged.paths))
    assert "✓ Nothing differs by more than is allowed." in page.text
    rows = rows_of(page, "Skew")
    assert rows["image width in pixels"].startswith(
        "the images served 300 500 500 to 500 the images learned from 600 500 500 to 500 0.000"
    ), "600 images in the window of three spans; span 4, with large ones, is not in it"
    assert rows["words a caption"].startswith(
        "captions of version 18 300 3 3 to 3 its captions in the evaluation 24 3"
    )
    assert "300 images that servers answered, from 2023-11-14 22:13 to 2023-11-14 22:13 UTC" in page.text
    assert "ok 100.0%; jpeg 100.0%; version 18 100.0%" in page.text
    assert "Not compared: Captions of version 17: none given" in page.text


def test_skew_is_marked_and_said(judged, tmp_path) -> None:
    folder = log(tmp_path / "elsewhere", 300, width=4000)
    page = Page(report.make(judged.run, judged.paths, requests=folder))
    assert "✗ 1.000" in rows_of(page, "Skew")["image width in pixels"]
    assert "✗ Image width in pixels: the images served differ from the images learned from." in page.text
    assert "Nothing differs" not in page.text


def test_the_threshold_is_that_of_the_run(judged, tmp_path) -> None:
    folder = log(tmp_path / "elsewhere", 300, width=4000)
    config = judged.run.config | {"spans": {"drift_threshold": 1.0}}
    run = dataclasses.replace(judged.run, config=config)
    rows = rows_of(Page(report.make(run, judged.paths, requests=folder)), "Skew")
    assert rows["image width in pixels"].partition("1.000")[2].strip().startswith("1.0")
    assert "✗" not in rows["image width in pixels"]


def test_a_log_without_images_is_told_of(judged) -> None:
    pathlib.Path(judged.paths.root, "requests").mkdir()
    page = Page(report.make(judged.run, judged.paths))
    assert "has no images yet" in page.text


def test_a_folder_that_is_asked_for_must_be_there(judged, tmp_path) -> None:
    with pytest.raises(UserError, match=r"--requests must be the folder .*; there is no folder .*/none"):
        report.make(judged.run, judged.paths, requests=tmp_path / "none")


def test_the_command_takes_a_log(judged, tmp_path, capsys) -> None:
    folder = log(tmp_path / "elsewhere", 300, time=1.7e9 - 90 * 86_400)
    log(folder, 10)
    arguments = ["report", "--root", judged.paths.root, "--requests", str(folder)]
    assert main([*arguments, "--request-days", "7"]) == 0
    page = pathlib.Path(judged.paths.report(judged.run.id, "report.html"))
    assert "10 images that servers answered" in Page(page).text
    assert main([*arguments, "--request-days", "100"]) == 0
    assert "310 images that servers answered" in Page(page).text
    assert main([*arguments, "--request-days", "0"]) != 0
    assert "--request-days takes a number above 0" in capsys.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (500, False)])
def test_it_shows_without_faults(judged, tmp_path, width: int, dark: bool) -> None:
    folder = log(tmp_path / "elsewhere", 300, width=4000)
    seen = look(report.make(judged.run, judged.paths, requests=folder), width, dark)
    assert seen.console == []
    assert seen.serious == []
    assert seen.width <= width
