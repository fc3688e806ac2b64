"""The tabs of the Space `text`, in their order."""

from . import compare, complete, surprise, write

TABS = (complete, write, surprise, compare)
