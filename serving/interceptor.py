"""Around each call: the token is checked, the call is timed, counted, logged and traced."""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import grpc
from absl import logging

from serving import calls
from serving.calls import Call
from serving.errors import ServingError, status_code
from serving.tokens import Tokens
from serving.tracing import Trace

# Kubernetes and load balancers ask for health without a token, every few seconds: not logged either.
_OPEN: Final = "/grpc.health.v1.Health/"

Metadata = Iterable[tuple[str, Any]] | None


class CallInterceptor(grpc.aio.ServerInterceptor):
    """See the module."""

    def __init__(self, tokens: Tokens | None, observers: Sequence[Callable[[Call], None]], trace: Trace):
        """`observers` are told of each call that has ended, `trace` with its metadata."""
        self._tokens = tokens
        self._observers = observers
        self._trace = trace

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """Returns the method's handler, wrapped."""
        method, metadata = handler_call_details.method, handler_call_details.invocation_metadata
        if method.startswith(_OPEN):
            return await continuation(handler_call_details)
        user = ""
        try:
            if self._tokens is not None:
                user = self._tokens.check(metadata)
            handler = await continuation(handler_call_details)
        except ServingError as error:
            return self._refusal(error, method, metadata)
        if handler is None or not handler.unary_unary:
            return handler  # unknown methods and reflection

        async def behave(request: Any, context: Any) -> Any:
            return await self._behave(handler.unary_unary, request, context, method, metadata, user)

        def read(data: bytes) -> Any:
            # Left to gRPC, a message that is none leaves a traceback in the log and is not counted.
            try:
                return handler.request_deserializer(data) if handler.request_deserializer else data
            except Exception as error:
                return _Unreadable(error)

        return grpc.unary_unary_rpc_method_handler(behave, read, handler.response_serializer)

    def _refusal(self, error: ServingError, method: str, metadata: Metadata) -> Any:
        async def refuse(requests: Any, context: Any) -> None:
            await context.abort(error.code, error.message)

        async def behave(requests: Any, context: Any) -> Any:
            return await self._behave(refuse, requests, context, method, metadata, "")

        # As if it were a stream: of those who may not call no message is waited for or read into memory.
        return grpc.stream_unary_rpc_method_handler(behave)

    async def _behave(
        self, behaviour: Any, request: Any, context: Any, method: str, metadata: Metadata, user: str
    ) -> Any:
        call = calls.begin(method, metadata, context.peer(), user)
        began_ns, start = time.time_ns(), time.monotonic()
        context.set_trailing_metadata(((calls.REQUEST_ID, call.id),))
        call.code = "OK"
        try:
            if isinstance(request, _Unreadable):
                await context.abort(grpc.StatusCode.INTERNAL, f"the request cannot be read: {request.error}")
            return await behaviour(request, context)
        except asyncio.CancelledError:
            remaining = context.time_remaining()
            late = remaining is not None and remaining <= 0
            call.code = (grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED).name
            raise
        except Exception:
            call.code = status_code(context.code()).name
            raise
        finally:
            call.seconds = time.monotonic() - start
            self._tell(call, metadata, began_ns)

    def _tell(self, call: Call, metadata: Metadata, began_ns: int) -> None:
        try:
            for observe in self._observers:
                observe(call)
            self._trace(metadata, began_ns, call)
        except Exception:  # nobody's captions are lost for a line of a log
            logging.exception("A call could not be counted")


@dataclasses.dataclass
class _Unreadable:
    """Stands for a request that is no message of its kind."""

    error: Exception
