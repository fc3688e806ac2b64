"""Language models of Shakespeare: two studies of 2025 rebuilt, character and word, and ours beside them."""

from hub_models import CharLSTMConfig, WordLSTMConfig
from training.recipe import Recipe
from training.tasks import Language

COMMON = {
    "metric_for_best_model": "loss",
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "logging_steps": 25,
    "per_device_eval_batch_size": 16,  # so few lanes that what each one's start lacks costs little
    "bf16": True,  # twice as fast on a CPU that has it, more where it has AMX
}
OURS = COMMON | {
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.05,  # of the run
    "max_grad_norm": 1.0,
    "weight_decay": 0.01,  # AdamW's own standard
    "per_device_train_batch_size": 32,
    "adam_beta2": 0.99,  # short runs: a memory of 100 steps for the gradient's scale
}
STUDY_E = "a study of 2025 (a CNN, a character RNN and three PixelRNNs)"
STUDY_A = "a study of 2025 (image completion with a raster LSTM; word LSTM)"

# The study gives neither rate, nor batch, nor window.
STUDY_CHARACTERS = OURS | {"learning_rate": 2e-3}
GRU_UNITS = {256: 10, 512: 6, 1024: 4}  # epochs: the larger, the sooner it overfits
CHARACTERS = {
    f"char-gru{units}-shakespeare-study": Recipe(
        about=(
            f"The net of {STUDY_E}: embedding 256, one GRU layer of {units} units, AdamW; rate, batches and epochs, "
            "which it does not give, are ours. Its last 20 % of the text are our test split, too, but we keep the "
            "first 5 % for validation, and the study did not."
        ),
        model=CharLSTMConfig(cell="gru", widths=(units,)),
        data="tiny-shakespeare-80",
        training=STUDY_CHARACTERS | {"num_train_epochs": epochs},
        task=Language(window=(128,), carry_state=True),
        store_fp16=True,
    )
    for units, epochs in GRU_UNITS.items()
} | {
    "char-gru512-shakespeare-random": Recipe(
        about=(
            f"How {STUDY_E} should not have split its text: windows that overlap, dealt out at random to training and "
            "validation. Four in five characters of its validation windows stand in a training window too, so that "
            "figure tells what was learnt by heart."
        ),
        model=CharLSTMConfig(cell="gru", widths=(512,)),
        data="tiny-shakespeare-random",
        training=STUDY_CHARACTERS | {"num_train_epochs": 4},
        task=Language(window=(128,)),
    ),
}
SMALL = CharLSTMConfig(  # 1 MiB in float16
    embedding=64, widths=(192, 192), dropout=0.15, input_dropout=0.05, weight_drop=0.15, variational=True
)
CHARACTERS_BEST = {
    name: Recipe(
        about=(
            "Ours: LSTM layers with dropout on what goes in, after them and on their state-to-state weights, AdamW at "
            "a rate that falls to zero, contiguous windows along which the state is carried, the weights' average."
        ),
        model=SMALL,
        data=data,
        training=OURS | {"learning_rate": 4e-3, "num_train_epochs": 40},
        task=Language(window=(128,), carry_state=True),
        ema=0.999,
        store_fp16=True,
    )
    for name, data in (
        ("char-lstm-shakespeare", "tiny-shakespeare"),
        ("char-lstm-shakespeare-80", "tiny-shakespeare-80"),
    )
}
A2_TRAINING = COMMON | {
    "learning_rate": 1e-3,
    "lr_scheduler_type": "reduce_lr_on_plateau",
    # after 3 bad epochs: PyTorch waits for more than its patience, Keras, the study's, does not
    "lr_scheduler_kwargs": {"factor": 0.5, "patience": 2},
    "max_grad_norm": 0.0,  # the study clips by value
    "adam_epsilon": 1e-7,  # Keras's
    "weight_decay": 0.0,
    "per_device_train_batch_size": 128,
    "num_train_epochs": 30,
}
A2_GRID = {  # name -> widths, dropout
    "study": ((256, 256, 128), 0.2),
    "deep": ((512, 512, 256), 0.3),
    "wide": ((512, 512), 0.3),
    "regularised": ((256, 256), 0.4),
}
WORDS = {
    f"word-lstm-plays-{name}": Recipe(
        about=(
            f"{'The network' if name == 'study' else f'The variant {name!r}'} of {STUDY_A}: embedding 256, LSTMs "
            f"{', '.join(map(str, widths))} with dropout {dropout}, dense 256 with ReLU, dropout 0.3, softmax over "
            "15,000 words and the unknown one; Adam at 1e-3, halved on a plateau, clipping by value, early stopping. "
            "Its windows of up to 30 words were each of one line; ours are of 30 words and line ends."
        ),
        model=WordLSTMConfig(widths=widths, dropout=dropout, dense=256, dense_dropout=0.3, cleaned=True),
        data="plays-by-line",
        training=A2_TRAINING,
        task=Language(window=(30,)),
        patience=5,
        clip_value=1.0,
        store_fp16=True,
    )
    for name, (widths, dropout) in A2_GRID.items()
}
REGULARISED = {"variational": True, "tied": True}
SHIPPED = WordLSTMConfig(
    vocab_size=6_001,  # 2 MiB in float16
    embedding=112,
    widths=(224, 112),
    dropout=0.25,
    input_dropout=0.15,
    weight_drop=0.3,
    **REGULARISED,
)
CLEANED = WordLSTMConfig(
    widths=(256, 256), dropout=0.25, input_dropout=0.2, weight_drop=0.3, cleaned=True, **REGULARISED
)
BY_LINE = (
    "As in the study lines are held out by lot: a test line's neighbours were read in training, and the test text "
    "skips from line to line."
)
WORDS_BEST = {
    name: Recipe(
        about=(
            "Ours: embedding and softmax share their weights, dropout on what goes in, after the layers and on "
            "their state-to-state weights, AdamW at a rate that falls to zero, contiguous windows along which the "
            f"state is carried, the weights' average. {told}"
        ),
        model=model,
        data=data,
        training=OURS | {"learning_rate": 5e-3, "num_train_epochs": epochs},
        task=Language(window=(48,), carry_state=True),
        ema=0.999,
        store_fp16=True,
    )
    for name, data, model, epochs, told in (
        ("word-lstm-plays", "plays-by-line", SHIPPED, 12, f"Case and signs are kept. {BY_LINE}"),
        ("word-lstm-plays-unseen", "plays-by-play", SHIPPED, 8, "Case and signs are kept; its test plays are unseen."),
        ("word-lstm-plays-cleaned", "plays-by-line", CLEANED, 10, f"The study's words and vocabulary. {BY_LINE}"),
    )
}
RECIPES = CHARACTERS | CHARACTERS_BEST | WORDS | WORDS_BEST
