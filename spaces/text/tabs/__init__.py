"""The tabs of the Space `text`, in their order."""

from . import compare, complete, surprise, write

TITLE = "Texts, word by word"
PITCH = "Type a few words and let networks that have read Shakespeare go on, or see which words surprise them."
TABS = (complete, write, surprise, compare)
