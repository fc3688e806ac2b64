"""The tabs of the Space `vision`, in their order."""

from . import classify, compare, look_inside, mistakes

TITLE = "What a small picture shows"
PITCH = "Show a picture to two nets that know ten kinds of thing, look inside them, and study their mistakes."
TABS = (classify, look_inside, compare, mistakes)
