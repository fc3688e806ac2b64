"""The model card, rendered from the files of a run or checkpoint folder: no live model, no branch per model."""


def write_card(folder):
    pass
