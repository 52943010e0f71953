"""How training spreads over devices and workers."""

import tensorflow as tf
from absl import logging


def make_strategy() -> tf.distribute.Strategy:
    """Returns the strategy for the devices at hand.

    Several workers, if the environment's TF_CONFIG names them (the convention of TensorFlow's training
    operators); else all GPUs of this machine; else the one device there is. Several workers must be set up
    before any other TensorFlow work of the process.
    """
    cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec().as_dict()
    workers = len(cluster.get("chief", [])) + len(cluster.get("worker", []))
    gpus = tf.config.list_physical_devices("GPU")
    if workers > 1:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    elif len(gpus) > 1:
        strategy = tf.distribute.MirroredStrategy()
    else:
        return tf.distribute.get_strategy()
    logging.info("training on %d devices of %d workers", strategy.num_replicas_in_sync, max(workers, 1))
    return strategy


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes what a training leaves: checkpoints, logs, the model."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.cluster_spec():
        return True
    has_chief = bool(resolver.cluster_spec().as_dict().get("chief"))
    return (resolver.task_type, resolver.task_id) == ("chief" if has_chief else "worker", 0)


def summed(values):
    """In a replica: the sum of tensors, or of a list of them, over all replicas of all workers."""
    # Copies, else a strategy may take a value that is the same everywhere for one that all share.
    values = tf.nest.map_structure(tf.identity, values)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)


def descend(optimizer, tape, loss, variables, sums):
    """In a replica: one step of `optimizer` by the gradients of all replicas.

    Args:
      optimizer: of `models.optimizer`.
      tape: has recorded `loss`.
      loss: this replica's part of the loss.
      variables: Keras variables.
      sums: tensor to sum over the replicas on the way.

    Returns `sums`, summed.
    """
    gradients = tape.gradient(
        loss, [v.value for v in variables], unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    # Dense, because the norm of sparse parts is not that of their sum.
    *gradients, sums = summed([*map(tf.convert_to_tensor, gradients), sums])
    optimizer.apply(gradients, variables)
    return sums
