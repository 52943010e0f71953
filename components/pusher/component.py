"""AtomicPusher: TFX's Pusher to a file system, where a version appears whole or not at all."""

from tfx.components import Pusher
from tfx.dsl.components.base import executor_spec

from components.pusher import executor


class AtomicPusher(Pusher):
    """Pushes a blessed model; takes and outputs what TFX's Pusher does."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
