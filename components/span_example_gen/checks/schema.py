"""Do its Examples fit the schema?"""

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2

from components.span_example_gen.checks.found import Found
from components.span_example_gen.inspection import Findings


def check(findings: Findings, schema: schema_pb2.Schema) -> Found:
    """Returns a reason for each of TFDV's anomalies."""
    if not findings.images:
        return Found()  # nothing to compare, and the span is refused for that
    anomalies = tfdv.validate_statistics(findings.raw_statistics, schema)
    reasons = [
        f"Feature {name!r} does not fit the schema: {info.description.strip().rstrip('.')}."
        for name, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        reasons.append(f"{anomalies.dataset_anomaly_info.description.strip().rstrip('.')}.")
    return Found(tuple(reasons))
