"""The tabs of the Space `digits`, in their order."""

from . import classify, inpaint

TITLE = "Digits, pixel by pixel"
PITCH = "Draw a digit and watch a small network read it, or hide a part and watch another complete it."
TABS = (classify, inpaint)
