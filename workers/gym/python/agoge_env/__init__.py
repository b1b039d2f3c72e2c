"""The domain @DOMAIN@, served by `agoge env serve`."""

from @MODULE@.env import AgogeEnv
from @MODULE@.taskset import AgogeTaskset

__all__ = ["AgogeEnv", "AgogeTaskset"]
