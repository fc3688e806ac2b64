"""The tabs of the Space `pixels`, in their order."""

from . import complete, likelihood, receptive_field, sample

TITLE = "Images, pixel by pixel"
PITCH = "Watch networks draw and finish images one pixel at a time, and see which pixels surprise them."
TABS = (sample, complete, likelihood, receptive_field)
