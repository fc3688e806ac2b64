"""The tabs of the Space `digits`, in their order."""

from . import classify, inpaint

TABS = (classify, inpaint)
