"""TensorFlow Serving's PredictionService, answered as TensorFlow Serving words it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final, NoReturn

import grpc
import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from models import features
from serving import calls, codec
from serving.errors import ServingError, invalid, status_code
from serving.limits import Limits
from serving.model_manager import describe
from serving.model_set import ModelSet
from serving.request_log import RequestLog
from serving.scheduling import Arrays
from serving.servable import Servable
from serving.signature_inputs import is_batchable, output_names, read_inputs

_SIGNATURE_DEF: Final = "signature_def"
_MOST_MESSAGE_BYTES: Final = 1024


@contextlib.asynccontextmanager
async def answering(call: str, context: Any) -> AsyncIterator[None]:
    """Turns exceptions into the call's status."""
    try:
        yield
    except (grpc.aio.AbortError, asyncio.CancelledError):
        raise
    except Exception as error:
        code, message = describe(error)
        if not isinstance(error, (ServingError, tf.errors.OpError)):
            logging.exception("%s failed", call)
        await context.abort(status_code(code), _shortened(message))


def _shortened(message: str) -> str:
    """As in TensorFlow Serving; what repeats a long name would not fit in the answer's header."""
    data = message.encode()
    if len(data) <= _MOST_MESSAGE_BYTES:
        return message
    return data[:_MOST_MESSAGE_BYTES].decode(errors="ignore") + "...TRUNCATED"


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata."""

    def __init__(self, models: ModelSet, limits: Limits, request_log: RequestLog | None = None):
        self._models = models
        self._limits = limits
        self._request_log = request_log

    async def Predict(self, request: Any, context: Any) -> Any:
        """Runs one signature on the request's rows."""
        async with answering("Predict", context):
            remaining = context.time_remaining()
            deadline = None if remaining is None else asyncio.get_running_loop().time() + remaining
            self._limits.check_message(request)
            with self._lease(request) as servable:
                return await self._predict(request, servable, deadline)
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def _lease(self, request: Any):
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        call = calls.current()
        if self._models.get(request.model_spec.name):  # a name that is none would be a metric of its own
            call.model = request.model_spec.name
        with self._models.lease(request.model_spec) as servable:
            call.version = servable.version
            yield servable

    async def _predict(self, request: Any, servable: Servable, deadline: float | None) -> Any:
        name = request.model_spec.signature_name or features.SERVING_SIGNATURE
        signature = servable.model.signatures.get(name)
        if signature is None:
            raise ServingError(
                grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
            )
        call = calls.current()
        call.signature = name
        inputs = read_inputs(request, signature)
        wanted = output_names(request, signature)
        batchable = is_batchable(signature)
        if batchable:
            rows = {len(array) for array in inputs.values()}
            if len(rows) > 1:
                raise invalid("Batching input tensors must have equal 0th-dimension size")
            call.rows = rows.pop()
            self._limits.check_rows(call.rows)
        self._limits.check_inputs(inputs)
        outputs = await servable.run(name, inputs, batchable=batchable, deadline=deadline, timing=call.timing)
        call.statuses = _statuses(outputs)
        if self._request_log is not None:
            self._request_log.add(call, inputs, outputs)
        response = predict_pb2.PredictResponse()
        response.model_spec.name = servable.name
        response.model_spec.signature_name = name
        response.model_spec.version.value = servable.version
        for output in wanted:
            codec.write(outputs[output], response.outputs[output])
        return response

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:
        """Returns the signatures of a version."""
        async with answering("GetModelMetadata", context):
            if not request.HasField("model_spec"):
                raise invalid("Missing ModelSpec")
            self._models.resolve(request.model_spec)
            if not request.metadata_field:
                raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
            for field in request.metadata_field:
                if field != _SIGNATURE_DEF:
                    raise invalid(f"Metadata field {field} is not supported")
            with self._lease(request) as servable:
                signatures = get_model_metadata_pb2.SignatureDefMap()
                for name, definition in servable.model.signatures.items():
                    signatures.signature_def[name].CopyFrom(definition)
                response = get_model_metadata_pb2.GetModelMetadataResponse()
                response.model_spec.name = servable.name
                response.model_spec.version.value = servable.version
                response.metadata[_SIGNATURE_DEF].Pack(signatures)
                return response
        raise AssertionError("unreachable")

    async def Classify(self, request: Any, context: Any) -> Any:
        """Not served."""
        await _unimplemented("Classify", context)

    async def Regress(self, request: Any, context: Any) -> Any:
        """Not served."""
        await _unimplemented("Regress", context)

    async def MultiInference(self, request: Any, context: Any) -> Any:
        """Not served."""
        await _unimplemented("MultiInference", context)


async def _unimplemented(call: str, context: Any) -> NoReturn:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{call} is not served here; call Predict")
    raise AssertionError("abort raises")


def _statuses(outputs: Arrays) -> dict[str, int]:
    """Output `status` [B] -> how many images have which; empty for signatures without one."""
    if features.STATUS_OUTPUT not in outputs:
        return {}
    values, counts = np.unique(outputs[features.STATUS_OUTPUT].astype(bytes), return_counts=True)
    return {value.decode("utf-8", "replace"): int(count) for value, count in zip(values, counts, strict=True)}
