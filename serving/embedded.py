"""The embedded server put together: services, health, reflection, one model; start and graceful stop."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc
from absl import logging
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.batching import BatchingOptions, Scheduler
from serving.model_manager import ModelManager
from serving.options import ServerOptions
from serving.service import ModelService, PredictionService

_PREDICTION_SERVICE: Final = "tensorflow.serving.PredictionService"
_MODEL_SERVICE: Final = "tensorflow.serving.ModelService"
# The health service's names that say whether a caption can be had; "" is the whole server.
_READINESS: Final = ("", _PREDICTION_SERVICE)
_Health = health_pb2.HealthCheckResponse


async def serve(
    options: ServerOptions, stop: asyncio.Event, listening: Callable[[int], None] = lambda port: None
) -> None:
    """Serves until `stop` is set, then lets requests in flight end.

    Args:
      options: settings.
      stop: ends the server.
      listening: called with the port once calls are answered (the model may still be loading).

    Raises OSError if the port is taken.
    """
    scheduler = Scheduler(
        BatchingOptions(options.max_batch, options.batch_timeout_s, options.max_queued, options.batch_threads)
    )
    ready = asyncio.Event()
    manager = ModelManager(
        options.name, options.model_dir, scheduler, poll_s=options.poll_s, on_ready=ready.set
    )
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", options.max_message_bytes),
            ("grpc.max_send_message_length", options.max_message_bytes),
            ("grpc.so_reuseport", 0),  # else a second server takes half of the first one's connections
        ]
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(manager, options.max_rows), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(manager), server)
    health = health_aio.HealthServicer()
    await _set_health(health, _Health.NOT_SERVING, _READINESS)
    await _set_health(health, _Health.SERVING, (_MODEL_SERVICE,))
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    reflection.enable_server_reflection(
        (_PREDICTION_SERVICE, _MODEL_SERVICE, "grpc.health.v1.Health", reflection.SERVICE_NAME), server
    )
    port = _bind(server, options)
    await server.start()
    logging.info("Listening on %s:%d: model %s of %s", options.host, port, options.name, options.model_dir)
    listening(port)

    async def become_ready() -> None:
        await ready.wait()
        await _set_health(health, _Health.SERVING, _READINESS)

    following = asyncio.create_task(manager.run())
    others = [asyncio.create_task(become_ready()), asyncio.create_task(stop.wait())]
    # `following` ends by itself only with an error that nobody foresaw; the server then stops too.
    await asyncio.wait({others[1], following}, return_when=asyncio.FIRST_COMPLETED)
    logging.info("Stopping: requests in flight get up to %g s", options.drain_s)
    for task in (*others, following):
        task.cancel()
    await health.enter_graceful_shutdown()  # load balancers look elsewhere from now on
    await server.stop(options.drain_s)
    failure = (await asyncio.gather(following, return_exceptions=True))[0]
    await manager.close()
    scheduler.close()
    if isinstance(failure, Exception):
        raise failure
    logging.info("Stopped")


async def _set_health(health: Any, status: int, services: tuple[str, ...]) -> None:
    for service in services:
        await health.set(service, status)


def _bind(server: Any, options: ServerOptions) -> int:
    host = f"[{options.host}]" if ":" in options.host else options.host
    try:
        return server.add_insecure_port(f"{host}:{options.port}")
    except RuntimeError as error:
        raise OSError(
            f"cannot listen on {host}:{options.port}; is another server running there? Choose another --port"
        ) from error
