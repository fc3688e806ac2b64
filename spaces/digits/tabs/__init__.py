"""The tabs of the Space `digits`, in their order."""

from . import classify, inpaint

TITLE = "Digits, pixel by pixel"
PITCH = "Draw a digit and watch a small network read it, or rub out a part and watch another finish it."
TABS = (classify, inpaint)
