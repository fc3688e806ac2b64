"""Training tasks, one file per kind of training."""

from .base import Progress, Task
from .classification import Classification
from .images import ImageTask
from .language import Language
from .pixels import Pixels

__all__ = ["Classification", "ImageTask", "Language", "Pixels", "Progress", "Task"]
