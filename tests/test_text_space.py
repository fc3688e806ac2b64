"""The theme `text` without a browser: its tabs' handlers, directly and through `gradio_client`."""

import html
import itertools
import json
import math
import re
import time
import types
import urllib.request
from html.parser import HTMLParser

import gradio as gr
import orjson
import pytest
import torch
from gradio_client import Client
from test_spaces import PLAY, SPACES, all_tabs, served, tabs_of, wait_for

from hub_models.checkpoints import PRETRAINED
from hub_models.files import fingerprint, read_json
from hub_models.run_folder import WEIGHTS
from hub_models.spacekit.start import file_of, load_start
from hub_models.text import valid

WORDS, LETTERS, GRU = "word-lstm-plays", "char-lstm-shakespeare", "char-gru512-shakespeare-study"
ALL = (WORDS, LETTERS, GRU)
MADE = "The number after each model is its temperature. All with seed 0."  # of texts side by side
ODD = {  # texts that nobody trained on
    "empty": "",
    "blanks": " \n\t \r\n  ",
    "a space": " ",
    "unknown words": "Zeppelin quark xylophone",
    "right to left": "שלום עולם \u202eabc",
    "emoji": "🎭 👨\u200d👩\u200d👧 🏴\U000e0067\U000e007f",
    "control": "To\x00 be\x07 or\x1b[31m\x7f\u0085 not",
    "half a pair": "To be \ud83d or \udc00",
    "zero width": "To\u200bbe\ufeff\u2060 e\u0301\u0323",
    "markup": "<img src=x onerror=alert(1)> **be** ${be} {{be}} </p></div><script>be</script> \" ' &lt;",
}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The all-tabs app."""
    with all_tabs(tmp_path_factory) as app:
        yield app


@pytest.fixture(scope="module")
def tabs(app) -> types.SimpleNamespace:
    """The tabs' modules by name, and what they share."""
    return tabs_of(app, "text", shared="_text")


@pytest.fixture(scope="module")
def url(app):
    with served(app) as url:
        yield url


def continued(net, prompt: str, length: int, seed: int, **options) -> str:
    """What the model itself adds to a prompt, up to the token that makes it so many characters."""
    text, generator = "", torch.Generator().manual_seed(seed)
    for piece in net.generate(prompt, max_tokens=length, generator=generator, **options):
        text += piece
        if len(text) >= length:
            break
    return text


def written(tabs, *inputs) -> str:
    """The whole text that the tab Write like Shakespeare makes."""
    *_, (text, _) = tabs.write.write(*inputs)
    return text


def post(url: str, name: str, *data, **options) -> list:
    """What a handler answers; asked in plain ASCII, for `gradio_client` cannot send half a pair."""
    body = json.dumps({"data": data} | options).encode()
    request = urllib.request.Request(f"{url}gradio_api/run/{name}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)["data"]


def sendable(value) -> bool:
    """Whether Gradio can send this to a page: it wants valid Unicode."""
    return bool(orjson.dumps(value))


def slowed(net, seconds: float, drawn: list):
    """A `generate` like the model's, which takes so long a token and counts them."""

    def generate(*args, **options):
        for piece in type(net).generate(net, *args, **options):
            time.sleep(seconds)
            drawn.append(piece)
            yield piece

    return generate


def test_themes_and_endpoints(app, tabs):
    titles = ["Complete a sentence", "Write like Shakespeare", "Surprise", "Compare"]
    assert [tab.TITLE for tab in app.themes["text"].TABS] == titles
    readme = (SPACES / "text" / "README.md").read_text()
    told = re.findall(r"`(\w+)`", readme.partition("The endpoints")[2].partition("serve")[0])
    public = {fn.api_name: fn.fn for fn in app.demo.fns.values() if fn.api_visibility == "public"}
    assert told == ["next_words", "write", "surprise"]
    assert all("Args:" in public[name].__doc__ and "Returns:" in public[name].__doc__ for name in told)
    assert not {"write_on", "suggest", "compare", "write_shown", "surprise_shown"} & set(public)
    assert tuple(tabs.shared.NAMES) == ALL and tabs.shared.FIRST == WORDS
    for limit in (tabs.shared.PROMPT, tabs.shared.LENGTH, tabs.surprise.MAX_CHARACTERS):
        assert f"{limit:,}" in readme


def test_each_tab_opens_on_results_of_the_shipped_weights(tabs):
    for tab in (tabs.write, tabs.compare):
        weights = read_json(file_of(tab.__file__))["weights"]
        assert weights == {name: fingerprint(PRETRAINED / name / WEIGHTS) for name in tab.STARTS_FROM}
        assert len(load_start(tab.__file__)) == len(tab.start())
    text, made = load_start(tabs.write.__file__)
    assert text.startswith("O Romeo, Romeo wherefore") and len(text) > 400
    assert made == '<p dir="auto">Words: LSTM, temperature 0.8, seed 0.</p>'
    *columns, made = load_start(tabs.compare.__file__)
    assert [column["visible"] for column in columns] == [True, True, True, False] and "seed 0" in made
    assert all(column["value"].startswith("If music be the") for column in columns[:3])


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (WORDS, "To be or not", ""),
        (WORDS, "Zeppelin or quark quark", "Zeppelin, quark (3 of 4 words)."),
        (WORDS, "שלום, be", "שלום (1 of 3 words)."),
        (LETTERS, "To be\t☃☃\u202e", "U+0009, ☃, U+202E (4 of 9 characters)."),
        (
            LETTERS,
            "".join(map(chr, range(0x2600, 0x260C))),
            "☀, ☁, ☂, ☃, ☄, ★, ☆, ☇, ☈, ☉ and 2 more (12 of 12 characters).",
        ),
        (WORDS, "q" * 31, "q" * 30 + "… (1 of 1 words)."),
        (WORDS, "", ""),
    ],
)
def test_unknown_words_are_named_in_every_tab(tabs, name, text, told):
    wanted = f"Not in this model's vocabulary: {told}" if told else ""
    assert tabs.shared.unknown_words(name, text) == wanted
    shown = tabs.shared.as_html(wanted)
    assert tabs.complete.suggest(text, name, 1, 0) == (tabs.complete.next_words(text, name, 1, 0), shown)
    *_, (_, made) = tabs.write.write_shown(text, name, 1, 1, 0, 1, 0)
    *_, (*_, compared) = tabs.compare.compare(text, [name], [1], 1, 0, 1, 0)
    title = tabs.shared.NAMES[name]
    assert made == tabs.shared.as_html(" ".join([f"{title}, temperature 1, seed 0.", wanted]).strip())
    assert compared == tabs.shared.as_html(MADE, wanted and f"{title}. {wanted}")
    if text:
        assert html.escape(wanted) in tabs.surprise.surprise_shown(text, name)[1]


# --- Complete a sentence


@pytest.mark.parametrize("top_k", [0, 1, 3, 50])
@pytest.mark.parametrize("temperature", [0.5, 1, 1.5])
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("text", ["To be or not to", "O Romeo, ", "you are Signior Vincentio. ", "", "xyzzy"])
def test_suggestions_are_the_models_at_the_temperature_and_after_top_k(tabs, text, name, temperature, top_k):
    likely = tabs.complete.next_words(text, name, temperature, top_k)
    net = tabs.shared.model(name)
    spaced = name == WORDS and text.endswith(" ")
    whole = net.next_tokens(text[:-1] if spaced else text, net.config.vocab_size)  # likeliest first
    assert sum(p for _, p in whole) == pytest.approx(1)
    if spaced:  # the space that is there begins what comes
        whole = [(added[1:], p) for added, p in whole if added.startswith(" ") and added != " "]
    warmed = [p ** (1 / temperature) for _, p in whole[: top_k or None]]
    wanted = [p / sum(warmed) for p in warmed[:5]]
    assert list(likely.values()) == pytest.approx(wanted, rel=1e-6)
    assert list(likely) == [tabs.complete.SIGNS.get(added, added) for added, _ in whole[: len(wanted)]]


@pytest.mark.parametrize("text", ["To be or not to", "you are Signior Vincentio. ", "To be.\n"])
@pytest.mark.parametrize("name", ALL)
def test_each_bar_adds_what_it_shows(tabs, text, name):
    likely = tabs.complete.next_words(text, name, 1.5, 0)
    assert len(likely) == 5 and list(likely.values()) == sorted(likely.values(), reverse=True)
    for i, entry in enumerate(gr.Label().postprocess(likely).confidences):  # as the page has them
        added = {"⏎ line end": "\n", "␣ space": " "}.get(entry.label, entry.label)
        chosen = gr.EventData(None, {"index": i, "value": entry.label})
        assert tabs.complete.take_bar(text, [text], name, 1.5, 0, chosen)[0] == text + added


def test_each_suggestion_is_drawn_as_often_as_told(tabs):
    likely = tabs.complete.next_words("To be", LETTERS, 0.7, 4)
    net, generator = tabs.shared.model(LETTERS), torch.Generator().manual_seed(0)
    options = {"max_tokens": 1, "temperature": 0.7, "top_k": 4, "generator": generator}
    drawn = [next(net.generate("To be", **options)) for _ in range(2000)]
    assert {tabs.complete.SIGNS.get(added, added) for added in drawn} <= set(likely) and len(likely) == 4
    for shown, p in likely.items():
        added = tabs.complete.ADDED.get(shown, shown)
        assert abs(drawn.count(added) / 2000 - p) < 4 * math.sqrt(p * (1 - p) / 2000) + 1e-9


CHOSEN = (WORDS, 0.8, 3)


def bar(shown) -> gr.EventData:
    return gr.EventData(None, {"index": "whatever the page says", "value": shown})


def test_bars_are_taken_and_taken_back(tabs):
    complete = tabs.complete
    first, second = list(complete.next_words("To be", *CHOSEN))[:2]
    text, past, likely, texts = complete.take_bar("To be", ["To be"], *CHOSEN, bar(second))
    assert text == "To be" + second and likely == complete.next_words(text, *CHOSEN)
    assert texts == ["To be", text] and past == gr.update(samples=[["To be"]], visible=True)
    long = f"To be\n{'or ' * 20}not"
    past = complete.take_bar(long, ["", "To be\nor", "To"], *CHOSEN, bar("a"))[1]
    assert past["samples"] == [["(nothing)"], ["To be⏎or"], ["To"], [f"…{long[-50:]}"]]  # what tells them apart
    # what a bar says is added, though the text has gone on meanwhile
    typed = f"{text}, "
    later, _, _, texts = complete.take_bar(typed, texts, *CHOSEN, bar("⏎ line end"))
    assert later == f"{typed}\n" and texts == ["To be", text, typed, later]
    assert complete.undo(later, texts, *CHOSEN)[0] == typed
    back, past, again, texts = complete.go_back(0, "mine", texts, *CHOSEN)
    assert (back, again) == ("To be", complete.next_words("To be", *CHOSEN))
    assert texts == ["To be", text, typed, later, "mine", "To be"]  # what was typed is not lost
    assert len(past["samples"]) == 5
    for index in (2, 1, -1, None, "0", 0.5):
        with pytest.raises(gr.Error, match="no such earlier text"):
            complete.go_back(index, "b", ["a", "b"], *CHOSEN)
    for data in (None, {}, {"value": None}, {"value": ""}, {"value": 3}, {"index": 0}, {"value": ["a"]}, [0]):
        with pytest.raises(gr.Error, match="click on one of the bars"):
            complete.take_bar("To be", ["To be"], *CHOSEN, gr.EventData(None, data))


def test_undo_takes_back_what_was_typed_then_what_a_button_did(tabs):
    undo, texts = tabs.complete.undo, ["a", "a b"]
    text, past, _, texts = undo("a b and typed on", texts, *CHOSEN)
    assert (text, texts, past["samples"]) == ("a b", ["a", "a b"], [["a"]])
    text, past, _, texts = undo(text, texts, *CHOSEN)
    assert (text, texts, past) == ("a", ["a"], gr.update(samples=[], visible=False))
    assert undo("", texts, *CHOSEN)[0] == "a"
    with pytest.raises(gr.Error, match="nothing to undo"):
        undo("a", texts, *CHOSEN)


def test_an_example_begins_anew_and_the_last_20_texts_are_kept(tabs):
    text, _, _, texts = tabs.complete.begin(3, "mine", [str(i) for i in range(20)], *CHOSEN)
    assert text == "Friends, Romans, country-men," and texts == [*map(str, range(2, 20)), "mine", text]
    for index in (4, -1, None, "0"):
        with pytest.raises(gr.Error, match="choose one of 0 to 3"):
            tabs.complete.begin(index, "", [""], *CHOSEN)
    texts = tabs.complete.begin(0, "a" * 2001, [""], *CHOSEN)[-1]  # one that is too long is not in its way
    assert texts == ["", "a" * 2000, "To be or not to"]


@pytest.mark.parametrize("name", ALL)
def test_writing_on_draws_one_token(tabs, name, monkeypatch):
    for seed in range(5):
        monkeypatch.setattr(tabs.complete.random, "randrange", lambda most, seed=seed: seed)
        text, _, likely, texts = tabs.complete.write_on("O Romeo ", ["O"], name, 1.5, 0)
        generator = torch.Generator().manual_seed(seed)
        added = next(tabs.shared.model(name).generate("O Romeo ", temperature=1.5, generator=generator))
        assert text == f"O Romeo {added}" and texts == ["O", "O Romeo ", text]
        assert likely == tabs.complete.next_words(text, name, 1.5, 0)


# --- Write like Shakespeare


def test_a_text_is_streamed_and_is_the_models(tabs, monkeypatch):
    options = {"temperature": 1.2, "top_k": 7, "top_p": 0.9}
    for name, pause in itertools.product(ALL, (0, 0.05)):
        monkeypatch.setattr(tabs.shared, "PAUSE", pause)
        frames = list(tabs.write.write("O Romeo", name, 1.2, 60, 7, 0.9, 4))
        texts = [text for text, _ in frames]
        added = continued(tabs.shared.model(name), "O Romeo", 60, 4, **options)
        assert texts[-1] == f"O Romeo{added}" and len(added) >= 60
        assert all(now.startswith(before) for before, now in itertools.pairwise(["O Romeo", *texts]))
        if not pause:  # each token on its own
            assert len(texts) > (60 if name != WORDS else 8)
        assert texts[-1] == written(tabs, "O Romeo", name, 1.2, 60, 7, 0.9, 4)
        assert texts[-1] != written(tabs, "O Romeo", name, 1.2, 60, 7, 0.9, 5)
        made = f"{tabs.shared.NAMES[name]}, temperature 1.2, seed 4, top-k 7, top-p 0.9."
        assert texts[0] == "O Romeo" and {note for _, note in frames[:-1]} == {f"Writing ... {made}"}
        assert frames[-1][1] == made


def test_at_most_20_updates_a_second_are_sent(tabs, monkeypatch):
    net, drawn = tabs.shared.model(LETTERS), []
    monkeypatch.setattr(net, "generate", slowed(net, 0.002, drawn), raising=False)
    begun = time.monotonic()
    texts = [text for text, _ in tabs.write.write("", LETTERS, 1, 200, 0, 1, 0)]
    assert len(drawn) == 200 and texts[-1] == "".join(drawn)
    assert 4 < len(texts) <= 20 * (time.monotonic() - begun) + 3  # the first and the last two do not wait


def test_a_text_that_nobody_reads_on_is_not_written_on(tabs, monkeypatch):
    net, drawn = tabs.shared.model(LETTERS), []
    monkeypatch.setattr(net, "generate", slowed(net, 0.002, drawn), raising=False)
    for texts in (
        tabs.write.write_shown("", LETTERS, 1, 2000, 0, 1, 0),
        tabs.compare.compare("", [LETTERS], [0.8, 1.0], 2000, 0, 1, 0),
    ):
        drawn.clear()
        while not drawn:
            next(texts)
        texts.close()
        done = len(drawn)
        time.sleep(0.05)
        assert 0 < done == len(drawn) < 100


def test_temperature_0_and_nothing_to_begin_with(tabs):
    for name in ALL:
        assert written(tabs, None, name, 0, 30, 0, 1, 0) == continued(tabs.shared.model(name), "", 30, 9, temperature=0)


# --- Surprise


class Spans(HTMLParser):
    """What a browser makes of our HTML: its tags, and of the text's spans class, title and content."""

    def __init__(self, source: str):
        super().__init__()
        self.tags, self.spans, self.inside = set(), [], False
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        attributes = dict(attributes)
        self.inside |= attributes.get("class") == "text"
        if self.inside and tag == "span":
            self.spans.append([attributes["class"], attributes["title"], ""])

    def handle_endtag(self, tag):
        self.inside &= tag != "p"

    def handle_data(self, data):
        if self.inside:
            self.spans[-1][2] += data


def shown(text: str) -> str:
    """A text as it stands in the page."""
    signs = ("⏎\n" if c == "\n" else c if c.isprintable() else f"U+{ord(c):04X}" for c in valid(text))
    return "".join(signs)


@pytest.mark.parametrize("name", ALL)
def test_each_token_has_its_colour_and_its_bits(tabs, name):
    net = tabs.shared.model(name)
    source, note = tabs.surprise.surprise_shown(PLAY, name)
    parts, log_p = net.token_log_prob(PLAY)
    page = Spans(source)
    assert page.tags == {"p", "span", "b", "bdi"} and [part for *_, part in page.spans] == [
        shown(part) for part in parts
    ]
    most = math.log2(net.config.vocab_size)
    for (kind, title, _), cost in zip(page.spans, (-log_p.double() / math.log(2)).tolist(), strict=True):
        assert title == f"{cost:.2f} bits" and kind == f"b{min(8, round(8 * cost / most))}"
    bits = -net.log_prob(PLAY) / math.log(2)
    kind = "word" if name == WORDS else "character"
    top = sorted(zip((-log_p).tolist(), parts, strict=True), key=lambda pair: -pair[0])[:5]
    named = (f"<b><bdi>{html.escape(shown(part))}</bdi></b> {cost / math.log(2):.1f} bits" for cost, part in top)
    assert source.endswith(f"<p>Most surprising {kind}s: {', '.join(named)}</p>")
    assert f"Total surprise: {bits:,.1f} bits for {len(parts):,} {kind}s" in note
    assert f"Perplexity: {2 ** (bits / len(parts)):.2f} per {kind}. " in note
    assert f"Mean: {bits / len(PLAY):.3f} bits per character." in note and "vocabulary" not in source + note
    tokens, told = tabs.surprise.surprise(PLAY, name)
    assert note == tabs.shared.as_html(told) and told.startswith(f"{tabs.shared.NAMES[name]}. ")
    assert [part for part, _ in tokens] == parts and [cost for _, cost in tokens] == pytest.approx(
        (-log_p.double() / math.log(2)).tolist()
    )


def test_unknown_characters_are_left_out_and_counted(tabs):
    net, text = tabs.shared.model(LETTERS), "To be ☃ or 7not"
    source, _ = tabs.surprise.surprise_shown(text, LETTERS)
    tokens, note = tabs.surprise.surprise(text, LETTERS)
    assert [part for part, cost in tokens if cost is None] == ["☃", "7"]
    log_p = net.token_log_prob(text)[1]
    assert (log_p == -math.inf).tolist() == [c in "☃7" for c in text]
    bits = float(-log_p[log_p.isfinite()].double().sum()) / math.log(2)
    assert f"Total surprise: {bits:.1f} bits for 13 characters. Perplexity: {2 ** (bits / 13):.2f} per" in note
    assert f"{bits / 13:.3f} bits per character" in note and "leave them out" in note
    assert "Not in this model's vocabulary: ☃, 7 (2 of 15 characters)" in note
    strange = [span for span in Spans(source).spans if "unknown" in span[0]]
    assert [(title, part) for _, title, part in strange] == [
        ("unknown: probability 0", "☃"),
        ("unknown: probability 0", "7"),
    ]
    _, note = tabs.surprise.surprise("☃", LETTERS)
    assert note.startswith("Not in this model's vocabulary: ☃ (1 of 1 characters)") and "bits" not in note


def test_unknown_words_are_counted_in_and_told(tabs):
    net, text = tabs.shared.model(WORDS), "To be Zeppelin or quark"
    source, _ = tabs.surprise.surprise_shown(text, WORDS)
    _, note = tabs.surprise.surprise(text, WORDS)
    bits = -net.log_prob(text) / math.log(2)
    assert f"Total surprise: {bits:.1f} bits for 5 words" in note and "of 23 characters" in note
    assert "Not in this model's vocabulary: Zeppelin, quark (2 of 5 words)" in note and "lower bounds" in note
    strange = [span for span in Spans(source).spans if "unknown" in span[0]]
    assert [part.strip() for *_, part in strange] == ["Zeppelin", "quark"]
    assert all(title.endswith(" bits") for _, title, _ in strange)


def test_what_cannot_be_scored_is_refused(tabs):
    assert [tabs.surprise.example(i) for i in range(3)] == list(tabs.surprise.EXAMPLES)
    with pytest.raises(gr.Error, match="choose one of 0 to 2"):
        tabs.surprise.example(3)
    for text, ask in itertools.product(("", None), (tabs.surprise.surprise, tabs.surprise.surprise_shown)):
        with pytest.raises(gr.Error, match="no text: paste or type one"):
            ask(text, WORDS)


# --- Compare


def test_the_same_beginning_by_each_model_at_each_temperature(tabs):
    (*boxes, _), *_, (*last, made) = tabs.compare.compare("If music be", [GRU, WORDS], [0.5, 1.3], 40, 9, 0.95, 3)
    assert "All with seed 3, top-k 9, top-p 0.95." in made
    options = {"top_k": 9, "top_p": 0.95}
    for box, text, (name, temperature) in zip(boxes, last, itertools.product((GRU, WORDS), (0.5, 1.3)), strict=True):
        options["temperature"] = temperature
        assert text == "If music be" + continued(tabs.shared.model(name), "If music be", 40, 3, **options)
        assert box == gr.update(label=f"{tabs.shared.NAMES[name]} at {temperature}", visible=True)
        assert text == written(tabs, "If music be", name, temperature, 40, 9, 0.95, 3)


def test_columns_that_are_not_needed_go(tabs, monkeypatch):
    monkeypatch.setattr(tabs.shared, "PAUSE", 0)
    (*boxes, _), *frames = tabs.compare.compare("", [LETTERS], [1], 5, 0, 1, 0)
    assert [box["visible"] for box in boxes] == [True, False, False, False]
    assert [len(frame[0]) for frame in frames] == [0, 1, 2, 3, 4, 5, 5, 5]
    assert ["Writing ..." in frame[-1] for frame in frames] == [True] * 7 + [False]
    assert all(frame[1:-1] == ("", "", "") for frame in frames)
    # the shorter text waits, whole, for the longer
    *_, last = tabs.compare.compare("", [WORDS, LETTERS], [1], 12, 0, 1, 0)
    assert [len(text) >= 12 for text in last[:2]] == [True, True]


@pytest.mark.parametrize(
    ("names", "warmth"),
    [([], [1]), ([WORDS], []), ([WORDS, GRU], [0.5, 0.8, 1]), ([WORDS] * 10**5, [1] * 10**5)],
    ids=["no model", "no temperature", "six", "10 billion"],
)
def test_too_few_and_too_many_texts(tabs, names, warmth):
    n = len(names) * len(warmth)
    with pytest.raises(gr.Error, match=f"makes {n} texts: choose models and temperatures that make 1 to 4"):
        next(tabs.compare.compare("", names, warmth, 9, 0, 1, 0))


# --- what visitors send


WRITE = {"text": "To be", "name": WORDS, "temperature": 1, "length": 5, "top_k": 0, "top_p": 1, "seed": 0}
BAD = [
    *(({"name": v}, "no such model: choose word-lstm-plays, char") for v in ("word-lstm", "", None, 3, ["a"])),
    *(({"text": v}, "is too long: give at most 2,000 characters") for v in ("a" * 2001, "a" * 1_000_000)),
    *(({"temperature": v}, "temperature must be a number from 0") for v in (-1, 2.1, math.nan, None, "1")),
    *(({"top_k": v}, "Top-k must be a whole number from 0 to 50") for v in (-1, 51, 0.5, math.inf, None, "1")),
    *(({"length": v}, "The number of characters must be a whole number from 1 to 2000") for v in (0, 2001, 1.5, None)),
    *(({"top_p": v}, "Top-p must be a number from 0 to 1") for v in (-0.1, 1.1, math.nan, None, "1")),
    *(({"seed": v}, "seed must be a whole number from 0 to 2147483647") for v in (-1, 2**31, 0.5, None, "0")),
]


@pytest.mark.parametrize(("bad", "match"), BAD)
def test_bad_settings(tabs, bad, match, monkeypatch):
    for name in ALL:  # all is refused before it is read
        monkeypatch.setattr(tabs.shared.model(name), "encode", None, raising=False)
    given = WRITE | bad
    with pytest.raises(gr.Error, match=match):
        next(tabs.write.write(**given))
    text, name, warmth = given.pop("text"), given.pop("name"), given.pop("temperature")
    with pytest.raises(gr.Error, match=match):
        next(tabs.compare.compare(text, names=[name], temperatures=[warmth], **given))
    if bad.keys() & {"text", "name", "temperature", "top_k"}:
        with pytest.raises(gr.Error, match=match):
            tabs.complete.next_words(text, name, warmth, given["top_k"])
        with pytest.raises(gr.Error, match=match):
            tabs.complete.suggest(text, name, warmth, given["top_k"])
        with pytest.raises(gr.Error, match=match):
            tabs.complete.write_on(text, [""], name, warmth, given["top_k"])
    if "name" in bad:
        with pytest.raises(gr.Error, match=match):
            tabs.surprise.surprise_shown(text, name)


def test_longest_texts(tabs, monkeypatch):
    with pytest.raises(gr.Error, match="temperature must be a number from 0.5 to 1.5"):
        tabs.complete.next_words("", WORDS, 0.4, 0)
    assert tabs.complete.next_words("a" * 2000, LETTERS, 1, 0)
    assert len(Spans(tabs.surprise.surprise_shown("ab " * 6666 + "ab", LETTERS)[0]).spans) == 20_000
    for name in ALL:
        monkeypatch.setattr(tabs.shared.model(name), "encode", None, raising=False)
    with pytest.raises(gr.Error, match="The text is full: it has at most 2,000 characters"):
        tabs.complete.take_bar("a" * 2000, [""], WORDS, 1, 0, bar("b"))
    for text in ("a" * 20_001, "\ud800" * 1_000_000):
        with pytest.raises(gr.Error, match="The text is too long: give at most 20,000 characters"):
            tabs.surprise.surprise(text, LETTERS)
        with pytest.raises(gr.Error, match="The text is too long: give at most 20,000 characters"):
            tabs.surprise.surprise_shown(text, LETTERS)


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", ALL)
def test_odd_texts_are_answered(tabs, name, text):
    likely = tabs.complete.next_words(text, name, 1, 0)
    assert len(likely) == 5 and sendable(likely)
    assert sendable(tabs.complete.write_on(text, [valid(text)], name, 1, 0))
    assert sendable(tabs.complete.take_bar(text, ["a"], name, 1, 0, bar("\ud800")))
    *_, (whole, made) = tabs.write.write_shown(text, name, 1, 20, 0, 1, 0)
    assert whole.startswith(valid(text)) and len(whole) >= len(valid(text)) + 20 and sendable([whole, made])
    *_, columns = tabs.compare.compare(text, [name], [1], 20, 0, 1, 0)
    assert columns[0] == whole and sendable(columns[-1])
    assert Spans(tabs.complete.suggest(text, name, 1, 0)[1] + made + columns[-1]).tags == {"p"}
    if text:
        source, note = tabs.surprise.surprise_shown(text, name)
        page = Spans(source)
        assert page.tags <= {"p", "span", "b", "bdi"} and sendable([source, note])
        assert "".join(part for *_, part in page.spans) == shown(text)
        assert Spans(note).tags == {"p"} and sendable(tabs.surprise.surprise(text, name))


# --- through gradio_client


def test_what_stands_for_a_blank_is_no_word(tabs):
    for name in ALL:
        tokens = {token.strip(" ") for token in tabs.shared.model(name).tokenizer.get_vocab()}
        assert not tokens & set(tabs.complete.ADDED)


def test_two_visitors_stream_and_do_not_mix(url, tabs):
    clients = {seed: Client(url, verbose=False) for seed in (3, 7)}
    jobs = {
        seed: client.submit(f"O Romeo {seed}", LETTERS, 1, 300, 0, 1, seed, api_name="/write")
        for seed, client in clients.items()
    }
    for seed, job in jobs.items():
        prompt = f"O Romeo {seed}"
        texts = [text for text, _ in job]
        assert texts[-1] == prompt + continued(tabs.shared.model(LETTERS), prompt, 300, seed)
        assert all(now.startswith(before) for before, now in itertools.pairwise([prompt, *texts]))
        assert job.result()[0] == texts[-1] and f"seed {seed}. Not in this" in job.result()[1]


def test_each_visitor_has_earlier_texts_of_their_own(url):
    for _ in range(2):
        answers = {
            seed: post(url, "write_on", f"Mine is {seed}", None, WORDS, 1, 0, session_hash=f"visitor{seed}")
            for seed in (3, 7)
        }
    for seed, (text, past, likely, _) in answers.items():
        assert text.startswith(f"Mine is {seed}") and past["samples"][1] == [f"Mine is {seed}"]
        assert not any(f"Mine is {other}" in row[0] for other in answers if other != seed for row in past["samples"])
        assert len(likely["confidences"]) == 5


def test_suggestions_and_surprise_through_the_client(url, tabs):
    client = Client(url, verbose=False)
    given = client.predict("To be or not to", WORDS, 0.7, 0, api_name="/next_words")
    told = {entry["label"]: entry["confidence"] for entry in given["confidences"]}
    assert told == pytest.approx(tabs.complete.next_words("To be or not to", WORDS, 0.7, 0))
    for text in (PLAY, "7 ☃"):
        assert tuple(client.predict(text, GRU, api_name="/surprise")) == tabs.surprise.surprise(text, GRU)


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_odd_texts_arrive_and_come_back(url, text):
    assert len(post(url, "next_words", text, LETTERS, 1, 0)[0]["confidences"]) == 5
    assert post(url, "write_on", text, None, WORDS, 1, 0)[0].startswith(valid(text))
    if text:
        assert "bits" in post(url, "surprise", text, WORDS)[1]


def test_errors_reach_the_client(url):
    client = Client(url, verbose=False)
    for arguments, name, told in (
        (("a" * 2001, WORDS, 1, 0), "/next_words", "The text is too long"),
        (("a", WORDS, 3, 0), "/next_words", "Value 3 is greater than maximum value 1.5"),
        (("a", "word-lstm", 1, 0), "/next_words", "Value: word-lstm is not in the list of choices"),
        (("a" * 1_000_000, WORDS, 1, 9, 0, 1, 0), "/write", "The beginning is too long"),
        (("a", WORDS, 1, 2001, 0, 1, 0), "/write", "Value 2001 is greater than maximum value 2000"),
        (("a" * 1_000_000, WORDS), "/surprise", "The text is too long: give at most 20,000 characters"),
        (("", WORDS), "/surprise", "There is no text"),
    ):
        with pytest.raises(Exception, match=re.escape(told)):
            client.predict(*arguments, api_name=name)


def test_cancelled_jobs_stop_the_model(url, tabs, monkeypatch):
    net, drawn = tabs.shared.model(LETTERS), []
    monkeypatch.setattr(net, "generate", slowed(net, 0.005, drawn), raising=False)
    job = Client(url, verbose=False).submit("", LETTERS, 1, 2000, 0, 1, 0, api_name="/write")
    wait_for(lambda: len(job.outputs()) > 2)
    job.cancel()

    def at_rest() -> bool:
        before = len(drawn)
        time.sleep(0.2)  # uncancelled it would draw 40 in that time, and go on for 10 s
        return len(drawn) == before

    wait_for(at_rest, 3)
    assert 0 < len(drawn) < 1000
