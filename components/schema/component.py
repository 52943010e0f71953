"""CuratedSchema: a schema written by hand, as an artifact."""

import os

from tfx import v1 as tfx
from tfx.utils import io_utils


@tfx.dsl.components.component
def CuratedSchema(
    schema: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Schema],
    text: tfx.dsl.components.Parameter[str],
) -> None:
    """Outputs a schema.

    TFX's ImportSchemaGen takes a path, which is another one in a container, and which does not tell the cache
    when the file behind it changes.

    Args:
      schema: will hold `schema.pbtxt`.
      text: a `tensorflow_metadata` Schema as text.
    """
    io_utils.write_string_file(os.path.join(schema.uri, "schema.pbtxt"), text)
