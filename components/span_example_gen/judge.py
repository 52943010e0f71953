"""Judges a new span: what is found of it, the checks, the record."""

import dataclasses
from collections.abc import Sequence

import apache_beam as beam
from tensorflow_metadata.proto.v0 import schema_pb2

from components.drift import compare
from components.drift import statistics as drift_statistics
from components.drift.features import FEATURE_MEAN, UNKNOWN_SHARE
from components.span_example_gen import inspection, records
from components.span_example_gen.checks import captions, drift, files, pictures
from components.span_example_gen.checks import schema as schema_check
from components.span_example_gen.checks.found import Found
from components.span_example_gen.config import SpansConfig
from components.span_example_gen.records import Judgement, Record
from components.span_example_gen.served_model import ServedModel
from components.span_example_gen.spans import Span


@dataclasses.dataclass(frozen=True)
class Judge:
    """Judges spans one after the other.

    Attributes:
      config: the rules.
      schema: of the raw Examples.
      model: in service, if there is one.
      records_dir: where the records are kept.
      pipeline: whose runner and options are used.
    """

    config: SpansConfig
    schema: schema_pb2.Schema
    model: ServedModel | None
    records_dir: str
    pipeline: beam.Pipeline

    def judge(self, span: Span, accepted: Sequence[Judgement]) -> Record:
        """Looks at a span, and keeps and returns the record.

        Args:
          span: the span.
          accepted: judged spans before it that are accepted, the oldest first.
        """
        found = [files.check_manifest(span)]
        compared: list[compare.Drift] = []
        images = captions_ = 0
        if span.shards:
            earlier = [each for each in accepted if each.record is not None]
            findings = inspection.inspect(
                span,
                self.schema,
                [each.span for each in earlier],
                self.model,
                self.config.fit_images if self.config.min_caption_fit else 0,
                self.records_dir,
                self.pipeline,
            )
            images, captions_ = findings.images, findings.captions
            compared = self._compare(findings, earlier)
            found += [
                files.check_content(findings, self.config),
                schema_check.check(findings, self.schema),
                pictures.check_known(findings, self.config),
                pictures.check_leaked(findings, self.config),
                captions.check(findings, self.config),
                drift.check(compared, self.config),
            ]
        record = self._record(span, found, compared, images, captions_)
        records.write(self.records_dir, span, record)
        return record

    def _compare(self, findings: inspection.Findings, earlier: Sequence[Judgement]) -> list[compare.Drift]:
        """Compares with the window as it was before this span, which is what was learned from last.

        What depends on the model is compared with spans that were judged by one alike, and with no others: a
        vocabulary that has grown knows more words of the same captions.
        """
        parts = []
        for each in earlier[-self.config.window :]:  # all of them for 0
            part = inspection.statistics_of(inspection.folder(self.records_dir, each.span))
            for feature in self._not_comparable(each.record):
                part = drift_statistics.without(part, feature)
            parts.append(part)
        if not parts:
            return []
        return compare.measure(
            drift_statistics.merge(parts), findings.statistics, self.config.drift_threshold
        )

    def _not_comparable(self, record: Record | None) -> list[str]:
        """Features that mean something else now than they did when a span was judged."""
        if self.model is None or record is None:
            return [FEATURE_MEAN, UNKNOWN_SHARE]
        features = []
        if record.encoder != self.model.encoder:
            features.append(FEATURE_MEAN)
        if record.vocabulary_digest != self.model.vocabulary_digest:
            features.append(UNKNOWN_SHARE)
        return features

    def _record(
        self,
        span: Span,
        found: Sequence[Found],
        compared: Sequence[compare.Drift],
        images: int,
        captions_: int,
    ) -> Record:
        reasons = tuple(sentence for each in found for sentence in each.reasons)
        return Record(
            span=span.number,
            digest=span.digest,
            state=records.REFUSED if reasons else records.ACCEPTED,
            reasons=reasons,
            warnings=tuple(sentence for each in found for sentence in each.warnings),
            images=images,
            captions=captions_,
            checked_at=records.now(),
            model=self.model.name if self.model else "",
            encoder=self.model.encoder if self.model else "",
            vocabulary_digest=self.model.vocabulary_digest if self.model else "",
            measured={name: value for each in found for name, value in each.measured.items()},
            drift=tuple(dataclasses.asdict(each) | {"drifted": each.drifted} for each in compared),
        )
