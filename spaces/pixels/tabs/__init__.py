"""The tabs of the Space `pixels`, in their order."""

from . import complete, likelihood, receptive_field, sample

TABS = (sample, complete, likelihood, receptive_field)
