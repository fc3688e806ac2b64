"""Training tasks, one file per kind of training."""

from hub_models import HubModel

from .base import Progress, Task
from .classification import Classification
from .images import ImageTask
from .language import Language
from .pixels import Pixels

__all__ = ["Classification", "ImageTask", "Language", "Pixels", "Progress", "Task", "task_of"]


def task_of(model: HubModel) -> type[Task]:
    """Return the task that trains models such as this one.

    Raises:
        ValueError: there is none.
    """
    kinds = [Task]
    for kind in kinds:
        kinds += kind.__subclasses__()
        if isinstance(model, getattr(kind, "models", ())):
            return kind
    raise ValueError(f"no training task is for a {type(model).__name__}: write one in training/tasks")
