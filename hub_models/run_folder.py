"""The names of all files of a run folder, once: who reads or writes one takes its name from here.

SPLIT stands for "test" or "validation". AGENTS.md says who writes which file.
"""

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"  # of text models
RECIPE = "recipe.json"
TRAIN_RESULTS = "train_results.json"
EVAL_RESULTS = "eval_results.json"
HISTORY = "history.csv"
CARD = "README.md"
LEADERBOARD = ".eval_results/test.yaml"  # figures as the Hub's leaderboards read them
CURVES, SAMPLES, STAGES = RUN_PICTURES = ("curves.webp", "samples.webp", "stages.webp")
FINISHED = (CONFIG, WEIGHTS, RECIPE, TRAIN_RESULTS, HISTORY, CURVES)  # what every finished run has

SPLITS = ("test", "validation")  # a folder may hold a report of each; its card shows the first that is there
REPORT_PICTURES = ("report", "mistakes", "tiles", "neighbours")  # kinds; an evaluation makes some of them

# What resuming and watching need; never published.
STAGES_FOLDER = "stages"  # samples at each validation, from which STAGES is drawn
TENSORBOARD = "tensorboard"
LOCK = ".lock"
WRITING = ".writing"  # a folder of files that are not all written yet; also how a file ends while it is written
# How the folder ends in which --overwrite keeps the old run. A file of this name marks it as ours to delete.
ASIDE = ".replaced"


def report_name(split: str) -> str:
    """Name the JSON file with all that evaluations found on a split, beside the figures in EVAL_RESULTS."""
    return f"report-{split}.json"


def picture_name(kind: str, split: str) -> str:
    """Name a picture that belongs to a split's report.

    Args:
        kind: one of REPORT_PICTURES.
        split: one of SPLITS.
    """
    return f"{kind}-{split}.webp"


def picture_names(split: str) -> tuple[str, ...]:
    """Name all pictures that may belong to a split's report."""
    return tuple(picture_name(kind, split) for kind in REPORT_PICTURES)


def checkpoint_name(step: int) -> str:
    """Name the folder from which training resumes after a step; transformers.Trainer writes it under this name."""
    return f"checkpoint-{step}"


PUBLISHED = (  # what a Hub repository holds of a run folder
    *(CONFIG, WEIGHTS, TOKENIZER, CARD, RECIPE, TRAIN_RESULTS, EVAL_RESULTS, HISTORY, *RUN_PICTURES, LEADERBOARD),
    *(name for split in SPLITS for name in (report_name(split), *picture_names(split))),
)
