"""The tabs of the Space `vision`, in their order."""

from . import classify, compare, look_inside, mistakes

TABS = (classify, look_inside, compare, mistakes)
