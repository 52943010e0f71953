"""The embedded server put together: services, health, reflection, models; start and graceful stop."""

import asyncio
import concurrent.futures
import functools
import os
import sys
import threading
from collections.abc import Callable
from typing import Final

import grpc
from absl import logging
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving import logs, monitoring, precision, settings, tracing
from serving.config.read import ModelEntry
from serving.health import Health
from serving.interceptor import CallInterceptor
from serving.model_manager import ModelManager
from serving.model_service import ModelService
from serving.model_set import ModelSet
from serving.options import ServerOptions
from serving.prediction_service import PredictionService
from serving.saved_model import SavedModel
from serving.scheduling import Scheduler
from serving.tokens import Tokens
from serving.watching import Watch

_PREDICTION_SERVICE: Final = "tensorflow.serving.PredictionService"
_MODEL_SERVICE: Final = "tensorflow.serving.ModelService"
# The health service's names that say whether captions can be had; "" is the whole server.
_READINESS: Final = ("", _PREDICTION_SERVICE)
_Health = health_pb2.HealthCheckResponse
_CLOSE_S: Final = 5.0  # after the drain: to give memory back, which a load under way can hold up


class _Server:
    """The parts of a running server. Its constructor raises OSError and ValueError for wrong options."""

    def __init__(self, options: ServerOptions):
        self.options = options
        self._watch = Watch(options.model_config_file)
        self.entries = settings.models(options)
        batching = settings.batching(options)
        self.limits = settings.limits(options)
        self.certificate = settings.certificate(options)
        self.tokens = Tokens(options.token_file) if options.token_file else None
        self.monitoring = settings.monitoring(options)
        self.precision = precision.resolve(options.precision)
        self.scheduler = Scheduler(batching, lambda run: self.metrics.count_batch(run))
        self.loader = concurrent.futures.ThreadPoolExecutor(1, "loader", _give_way)
        self.lookers = concurrent.futures.ThreadPoolExecutor(thread_name_prefix="looker")
        self._changed = asyncio.Event()
        self.models = ModelSet(self._manager, self._changed.set)
        self.request_log = settings.request_log(options)
        self.metrics = monitoring.Metrics(self.models, self.scheduler, self.request_log)
        self.health = Health(max(1, options.max_calls // 4))
        self._known: set[str] = set()

    def _manager(self, entry: ModelEntry) -> ModelManager:
        return ModelManager(
            entry,
            self.scheduler,
            self.loader,
            poll_s=self.options.poll_s,
            load=functools.partial(SavedModel, precision=self.precision),
            on_change=self._changed.set,
        )

    def build(self, trace: tracing.Trace) -> grpc.aio.Server:
        """Returns the gRPC server with its services."""
        observers = [self.metrics.count_call]
        if self.options.log_calls:
            observers.append(logs.log_call)
        # Twice the limit: what is a little too large is told so in words, before memory is taken for more.
        most_bytes = min(2 * self.limits.message_bytes, 2**31 - 1)
        server = grpc.aio.server(
            interceptors=[CallInterceptor(self.tokens, observers, trace)],
            maximum_concurrent_rpcs=self.options.max_calls,
            options=[
                ("grpc.max_receive_message_length", most_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),  # else a second server takes half of the first one's connections
                # Clients may ping as often as TensorFlow Serving's users are told to, not more.
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionService(self.models, self.limits, self.request_log), server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(self.models), server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
        reflection.enable_server_reflection(
            (_PREDICTION_SERVICE, _MODEL_SERVICE, "grpc.health.v1.Health", reflection.SERVICE_NAME), server
        )
        return server

    def bind(self, server: grpc.aio.Server) -> int:
        """Returns the port that the server will listen on. Raises OSError if it is taken."""
        options = self.options
        host = f"[{options.host}]" if ":" in options.host else options.host
        address = f"{host}:{options.port}"
        try:
            if self.certificate is not None:
                return server.add_secure_port(address, self.certificate.credentials())
            return server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(
                f"cannot listen on {address}; is another server running there? Choose another --port"
            ) from error

    async def tell_health(self) -> None:
        """Keeps the health service's answers true: for the server, and for each model by its name."""
        self.health.set(_MODEL_SERVICE, _Health.SERVING)
        while True:
            self._changed.clear()
            ready = {manager.name: manager.ready for manager in self.models}
            ready |= dict.fromkeys(_READINESS, self.models.ready)
            for name in self._known - ready.keys():
                self.health.set(name, _Health.SERVICE_UNKNOWN)
            for name, is_ready in ready.items():
                self.health.set(name, _Health.SERVING if is_ready else _Health.NOT_SERVING)
            self._known = set(ready)
            await self._changed.wait()

    async def follow_config(self) -> None:
        """Applies the model config file again when it changes."""
        while self.options.model_config_file:
            await asyncio.sleep(self.options.poll_s)
            if not self._watch.changed():
                continue
            try:
                self.models.apply(settings.models(self.options))
                logging.info("The models of %s are applied", self.options.model_config_file)
            except (OSError, ValueError) as error:
                logging.error("The models stay as they are: %s", error)

    async def close(self) -> None:
        """Gives back memory and threads, in bounded time: no load or look at a folder can be interrupted, and
        what still runs is nobody's any more.
        """
        try:
            await asyncio.wait_for(self.models.close(), _CLOSE_S)
        except TimeoutError:
            logging.warning("Not everything was unloaded within %g s", _CLOSE_S)
        if self.request_log is not None:
            self.request_log.close()
        for executor in (self.loader, self.lookers, self.scheduler.executor):
            executor.shutdown(wait=False, cancel_futures=True)


async def serve(
    options: ServerOptions, stop: asyncio.Event, listening: Callable[[int], None] = lambda port: None
) -> None:
    """Serves until `stop` is set, then lets requests in flight end.

    Args:
      options: settings.
      stop: ends the server.
      listening: called with the port once calls are answered (the model may still be loading).

    Raises OSError if a port is taken or a file cannot be read, ValueError for a wrong one.
    """
    parts = _Server(options)
    asyncio.get_running_loop().set_default_executor(parts.lookers)
    trace, end_tracing = tracing.start()
    server = parts.build(trace)
    web = None
    tasks: list[asyncio.Task[None]] = []
    drain_s = 0.0  # nobody is answered yet
    try:
        port = parts.bind(server)
        if parts.monitoring.enabled:
            host = options.monitoring_host or options.host
            web = await monitoring.serve_http(
                parts.metrics, parts.models, host, options.monitoring_port, parts.monitoring.path
            )
        for name in _READINESS:
            parts.health.set(name, _Health.NOT_SERVING)
        parts.models.apply(parts.entries)
        await server.start()
        _say_what_runs(parts, port)
        tasks += [asyncio.create_task(parts.tell_health()), asyncio.create_task(parts.follow_config())]
        listening(port)
        await stop.wait()
        drain_s = options.drain_s
        logging.info("Stopping: requests in flight get up to %g s", drain_s)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        parts.health.end()  # load balancers look elsewhere from now on
        await server.stop(drain_s)
        await parts.close()
        if web is not None:
            await web.cleanup()
        end_tracing()
    logging.info("Stopped")


def _give_way() -> None:
    """Lets the threads that answer go first: loading a version may take a little longer."""
    if sys.platform == "linux":  # elsewhere a priority is that of the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def _say_what_runs(parts: _Server, port: int) -> None:
    options = parts.options
    what = ", ".join(f"{entry.name} of {entry.base_path}" for entry in parts.entries)
    tls = "TLS" if parts.certificate is not None else "no TLS"
    logging.info("Listening on %s:%d (%s, %s): %s", options.host, port, tls, parts.precision, what)
    if options.listens_wider and parts.certificate is None:
        logging.warning(
            "Other machines can reach this server, and nothing is encrypted%s: give --tls-cert and --tls-key "
            "or put a proxy in front",
            "" if parts.tokens is not None else ", nor does anybody need a token",
        )
