"""Pictures of every kind become what models take, and back."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageOps

from hub_models.images import MAX_SIDE, to_digit, to_grey, to_photo, to_picture, to_sheet

HEIGHT, WIDTH = 5, 7
RAMP = Image.fromarray(np.arange(0, 245, 7, dtype=np.uint8).reshape(HEIGHT, WIDTH))  # grey, every pixel another


def stroke(side: int = 280, pen: int = 24, mode: str = "L", paper="white", ink="black") -> Image.Image:
    """A 4, which looks like nothing else when it is turned, mirrored or inverted."""
    picture = Image.new(mode, (side, side), paper)
    draw, s = ImageDraw.Draw(picture), side / 28
    draw.line([(9 * s, 5 * s), (8 * s, 15 * s), (20 * s, 15 * s)], fill=ink, width=pen)
    draw.line([(17 * s, 6 * s), (17 * s, 24 * s)], fill=ink, width=pen)
    return picture


def on(digit: torch.Tensor) -> torch.Tensor:
    return digit > 127


def assert_same_digit(a: torch.Tensor, b: torch.Tensor, pixels: int = 12) -> None:
    """The same pixels are on, but for a few at the edges of strokes."""
    assert on(a).sum() > 25 and on(b).sum() > 25
    assert (on(a) != on(b)).sum() <= pixels


# to_grey


def palette(transparent: int | None = None) -> Image.Image:
    image = RAMP.quantize(256)
    if transparent is not None:
        image.info["transparency"] = transparent
    return image


def wide(dtype: str) -> Image.Image:
    return Image.fromarray((np.asarray(RAMP).astype(np.int32) * 257).astype(dtype))


EXACT = {  # picture -> its greys are those of RAMP
    "L": lambda: RAMP,
    "LA": lambda: RAMP.convert("LA"),
    "P": palette,
    "RGB": lambda: RAMP.convert("RGB"),
    "RGBA": lambda: RAMP.convert("RGBA"),
    "RGBX": lambda: RAMP.convert("RGB").convert("RGBX"),
    "RGBa": lambda: RAMP.convert("RGBA").convert("RGBa"),
    "CMYK": lambda: RAMP.convert("CMYK"),
    "YCbCr": lambda: RAMP.convert("YCbCr"),
    "HSV": lambda: RAMP.convert("RGB").convert("HSV"),
    "I;16": lambda: wide("<u2"),
    "I;16B": lambda: wide(">u2"),
    "I of 16 bits": lambda: wide("i4"),
    "I of 8 bits": lambda: RAMP.convert("I"),
    "F of 0 to 255": lambda: RAMP.convert("F"),
    "F of 0 to 1": lambda: Image.fromarray(np.asarray(RAMP, dtype=np.float32) / 255),
}


@pytest.mark.parametrize("kind", EXACT)
def test_every_mode_gives_the_same_greys(kind):
    grey = to_grey(EXACT[kind]())
    assert grey.dtype == np.float32 and grey.shape == (HEIGHT, WIDTH)
    assert np.abs(grey - np.asarray(RAMP) / 255).max() < 1.01 / 255


def test_one_bit_pictures_are_black_and_white():
    assert to_grey(RAMP.point(lambda v: 255 * (v > 100)).convert("1")).tolist() == (np.asarray(RAMP) > 100).tolist()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGBa"])
def test_what_is_transparent_becomes_white_and_half_transparent_half_white(mode):
    for alpha, grey in ((0, 1.0), (51, 0.8), (255, 0.0)):
        image = Image.new("RGBA", (2, 2), (0, 0, 0, alpha))
        assert np.abs(to_grey(image.convert(mode)) - grey).max() < 0.005


def test_a_transparent_colour_of_a_palette_becomes_white():
    index = palette().getpixel((3, 2))
    grey = to_grey(palette(index))
    assert grey[2, 3] == 1
    grey[2, 3] = to_grey(RAMP)[2, 3]
    assert np.abs(grey - to_grey(RAMP)).max() < 1.01 / 255


def test_a_transparent_colour_of_a_png_without_palette_becomes_white():
    for mode, colour in (("L", 119), ("RGB", (119, 119, 119))):
        file = io.BytesIO()
        RAMP.convert(mode).save(file, "PNG", transparency=colour)
        grey = to_grey(Image.open(file))
        assert grey[2, 3] == 1 and np.count_nonzero(grey != to_grey(RAMP)) == 1


def test_values_outside_the_range_are_clipped():
    assert to_grey(Image.fromarray(np.array([[-3.0, 0.5, 1.0]], dtype=np.float32))).tolist() == [[0, 0.5, 1]]
    assert to_grey(Image.fromarray(np.array([[-3, 0, 99_999_999]], dtype=np.int32))).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_are_refused(value):
    values = np.full((4, 4), 0.5, dtype=np.float32)
    values[1, 2] = value
    for call in (to_grey, to_digit):
        with pytest.raises(ValueError, match="not finite"):
            call(Image.fromarray(values))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_upright(orientation):
    turned = {
        1: RAMP,
        2: ImageOps.mirror(RAMP),
        3: RAMP.rotate(180),
        4: ImageOps.flip(RAMP),
        5: RAMP.transpose(Image.Transpose.TRANSPOSE),
        6: RAMP.rotate(90, expand=True),
        7: RAMP.transpose(Image.Transpose.TRANSVERSE),
        8: RAMP.rotate(-90, expand=True),
    }[orientation]
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    turned.save(file, "PNG", exif=exif)
    assert np.array_equal(to_grey(Image.open(file)), to_grey(RAMP))


@pytest.mark.parametrize("wrong", [None, "digit.png", np.zeros((28, 28), dtype=np.uint8), b"", {"composite": None}])
def test_what_is_no_picture_is_refused(wrong):
    for call in (to_grey, to_digit):
        with pytest.raises(ValueError, match=f"the image is a {type(wrong).__name__}: give a PIL image"):
            call(wrong)


@pytest.mark.parametrize("mode", ["La", "LAB"])
def test_a_mode_that_cannot_be_converted_is_refused(mode):
    with pytest.raises(ValueError, match=f"the image has the mode {mode}: give it as RGB"):
        to_grey(Image.new(mode, (28, 28)))


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_a_picture_without_pixels_is_refused(size):
    with pytest.raises(ValueError, match=f"{size[0]}x{size[1]}: give at least one pixel"):
        to_grey(Image.new("L", size))


@pytest.mark.parametrize("size", [(MAX_SIDE + 1, 1), (1, MAX_SIDE + 1)])
def test_a_picture_beyond_the_limit_is_refused_before_it_is_decoded(size, monkeypatch):
    file = io.BytesIO()
    Image.new("L", size).save(file, "PNG")
    picture = Image.open(file)
    monkeypatch.setattr(type(picture), "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=f"{size[0]}x{size[1]}: give one of at most {MAX_SIDE} pixels a side"):
        to_digit(picture)


@pytest.mark.filterwarnings("ignore:Truncated File Read", "ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_a_file_that_is_cut_short_is_refused_or_read_but_never_crashes(kind):
    file = io.BytesIO()
    Image.effect_noise((40, 40), 90).convert("RGB").save(file, kind)
    whole, refused = file.getvalue(), 0
    for cut in range(16, len(whole), max(1, len(whole) // 60)):
        try:
            picture = Image.open(io.BytesIO(whole[:cut]))
        except Exception:  # Pillow sees it when the file is opened: not our call
            continue
        try:
            to_digit(picture)
        except ValueError as error:
            refused += "damaged or cut short" in str(error)
    assert refused or kind in ("GIF", "WEBP")  # which Pillow checks itself


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_whole_picture_whose_camera_data_are_damaged_is_taken_as_it_is(kind):
    file = io.BytesIO()
    Image.new("L", (40, 30), 200).convert("RGB").save(file, kind, exif=b"Exif\x00\x00no such thing")
    assert to_grey(Image.open(file)).shape == (30, 40)


# to_digit


def test_a_digit_that_is_white_on_black_in_28x28_passes_untouched():
    pixels = np.zeros((28, 28), dtype=np.uint8)
    pixels[4:24, 9:17] = np.arange(1, 161, dtype=np.uint8).reshape(20, 8) + 90
    for mode in ("L", "RGB", "RGBA", "I", "F", "CMYK"):
        assert np.array_equal(to_digit(Image.fromarray(pixels).convert(mode))[0, 0], pixels), mode


def test_real_digits_pass_untouched_and_come_out_nearly_the_same_from_any_preparation(mnist):
    alone = [Image.fromarray(image[0].numpy()) for image in mnist.images[:100]]
    assert torch.equal(torch.cat([to_digit(picture) for picture in alone]), mnist.images[:100])
    for prepare, wrong in (
        (ImageOps.invert, 12),  # dark on light
        (lambda p: ImageOps.expand(p, 9, 0), 12),  # not centred by us
        (lambda p: ImageOps.expand(ImageOps.invert(p), (3, 40, 60, 5), 255), 12),  # off the centre of a larger sheet
        (lambda p: ImageOps.invert(p).resize((280, 280), Image.Resampling.BICUBIC), 30),
    ):
        digits = torch.cat([to_digit(prepare(picture)) for picture in alone])
        assert (on(digits) != on(mnist.images[:100])).flatten(1).sum(1).double().mean() < wrong


SHEETS = {
    "light on dark": lambda: stroke(paper="black", ink="white"),
    "grey on grey": lambda: stroke(paper=150, ink=90),
    "pale on paler": lambda: stroke(paper=250, ink=230),
    "red on yellow": lambda: stroke(mode="RGB", paper="yellow", ink="red"),
    "ink with transparent paper": lambda: stroke(mode="RGBA", paper=(0, 0, 0, 0), ink=(0, 0, 0, 255)),
    "ink with white transparent paper": lambda: stroke(mode="RGBA", paper=(255, 255, 255, 0), ink=(0, 0, 0, 255)),
    "half transparent ink": lambda: stroke(mode="RGBA", paper=(0, 0, 0, 0), ink=(0, 0, 90, 128)),
    "one bit": lambda: stroke().convert("1"),
    "16 bits": lambda: Image.fromarray(np.asarray(stroke()).astype(np.uint16) * 257),
    "large": lambda: stroke(1400, 120),
    "small": lambda: stroke(140, 12),
    "cut to its ink": lambda: ImageOps.invert(stroke()).crop(ImageOps.invert(stroke()).getbbox()),
    "in a corner": lambda: ImageOps.expand(stroke(), (0, 500, 300, 0), "white"),
}


@pytest.mark.parametrize("sheet", SHEETS)
def test_one_digit_on_all_kinds_of_sheets_is_nearly_the_same(sheet):
    assert_same_digit(to_digit(SHEETS[sheet]()), to_digit(stroke()))


@pytest.mark.parametrize("side", [100, 280, 1000, 4000])
def test_thin_strokes_do_not_fade(side):
    """Of a pen a pixel wide on a large sheet as much is left on as of a pen of medium width."""
    for pen in (1, 2, side // 100, side // 40):
        assert 30 <= on(to_digit(stroke(side, max(pen, 1)))).sum() <= 80


def test_two_specks_far_apart_are_both_there():
    picture = Image.new("L", (1000, 1000), "white")
    for corner in ((0, 0), (999, 999)):
        picture.putpixel(corner, 0)
    assert on(to_digit(picture)).sum() == 2


@pytest.mark.parametrize("box", [(0, 10, 280, 50), (10, 0, 50, 280), (0, 0, 120, 120), (160, 160, 280, 280)])
def test_ink_that_touches_the_border_is_kept(box):
    picture = Image.new("L", (280, 280), "white")
    ImageDraw.Draw(picture).rectangle(box, fill="black")
    digit = on(to_digit(picture))[0, 0]
    rows, columns = digit.any(1).nonzero(), digit.any(0).nonzero()
    size = (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1)
    height, width = min(box[3], 279) - box[1] + 1, min(box[2], 279) - box[0] + 1
    assert max(size) == 20
    assert abs(size[0] / size[1] - height / width) < 0.4 * height / width


def test_the_centre_of_mass_is_where_mnist_has_it():
    digit = to_digit(stroke())[0, 0].double()
    for axis in (0, 1):
        centre = (digit.sum(1 - axis) * torch.arange(28)).sum() / digit.sum()
        assert abs(centre - 14) <= 0.5


@pytest.mark.parametrize("size", [(1, 2), (2, 1), (1, 50), (50, 1), (3, 8192), (28, 28), (27, 29), (640, 480)])
def test_any_size_with_ink_gives_a_digit(size):
    picture = Image.new("L", size, "white")
    picture.putpixel((size[0] - 1, size[1] - 1), 0)
    digit = to_digit(picture)
    assert digit.shape == (1, 1, 28, 28) and digit.dtype == torch.uint8 and digit.max() == 255


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_the_largest_picture_costs_little_more_than_its_greys(mode, monkeypatch):
    """All that is done to the pixels of a digit is done to at most 1024x1024 of them, whatever the picture has."""
    side, seen, flatnonzero = 8000, [], np.flatnonzero
    monkeypatch.setattr(np, "flatnonzero", lambda array: seen.append(array.size) or flatnonzero(array))
    colours = {"L": ("white", "black"), "RGBA": ((0, 0, 0, 0), (0, 0, 0, 255))}[mode]
    assert_same_digit(to_digit(stroke(side, 24 * side // 280, mode, *colours)), to_digit(stroke()))
    assert seen[:2] and max(seen[:2]) <= 1024


@pytest.mark.parametrize("size", [(1, 1), (28, 28), (280, 280), (1, 100)])
@pytest.mark.parametrize("colour", ["white", "black", "grey"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_picture_of_one_colour_is_refused(size, colour, mode):
    with pytest.raises(ValueError, match="the picture is empty: draw or choose a digit"):
        to_digit(Image.new(mode, size, colour))


def test_an_untouched_pad_is_refused():
    for paper in ((0, 0, 0, 0), (255, 255, 255, 0)):
        with pytest.raises(ValueError, match="the picture is empty"):
            to_digit(Image.new("RGBA", (280, 280), paper))


def test_the_given_picture_is_not_changed():
    picture = stroke(mode="RGBA", paper=(0, 0, 0, 0), ink=(9, 9, 9, 255))
    before = picture.tobytes()
    to_digit(picture)
    assert picture.tobytes() == before and picture.mode == "RGBA"


# to_picture, to_sheet


def test_a_picture_shows_each_pixel_as_a_square():
    grey = torch.arange(6, dtype=torch.uint8).view(1, 2, 3) * 40
    assert np.array_equal(np.asarray(to_picture(grey, 3)), grey[0].numpy().repeat(3, 0).repeat(3, 1))
    colour = torch.arange(18, dtype=torch.uint8).view(3, 2, 3)
    assert np.array_equal(np.asarray(to_picture(colour)), colour.permute(1, 2, 0).numpy())
    assert np.array_equal(np.asarray(to_picture(grey.transpose(1, 2))), grey[0].T.numpy())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_sheet_shows_all_images_row_by_row_between_grey_lines(channels, count):
    images = torch.randint(256, (count, channels, 2, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    sheet = np.asarray(to_sheet(images, 3, scale=1, gap=1)).reshape(-1, 3 * 5 + 1, channels)
    assert len(sheet) == -(-count // 3) * 3 + 1
    lines = np.ones(sheet.shape[:2], dtype=bool)
    for i, image in enumerate(images):
        place = slice(i // 3 * 3 + 1, i // 3 * 3 + 3), slice(i % 3 * 5 + 1, i % 3 * 5 + 5)
        assert np.array_equal(sheet[place], image.permute(1, 2, 0))
        lines[place] = False
    assert (sheet[lines] == 128).all()
    assert to_sheet(images, 3, scale=2).size == (sheet.shape[1] * 2, sheet.shape[0] * 2)


# to_photo


def test_a_photo_of_any_size_fits_a_net_of_any_size():
    for height, width in (28, 28), (7, 50), (33, 31):
        for size in (29, 49), (29, 100), (123, 333), (1, 1), (2, 777), (1000, 3):
            assert to_photo(Image.new("RGB", size), height, width).shape == (1, 3, height, width)


COLOURS = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))


def as_array(photo: torch.Tensor) -> np.ndarray:
    assert photo.dtype == torch.uint8 and photo.dim() == 4 and photo.shape[:2] == (1, 3) and photo.is_contiguous()
    return photo[0].permute(1, 2, 0).numpy()


def test_a_photo_of_the_right_size_passes_untouched():
    assert np.array_equal(as_array(to_photo(COLOURS, 32, 32)), np.asarray(COLOURS))
    assert np.array_equal(as_array(to_photo(COLOURS.convert("RGBA"), 32, 32)), np.asarray(COLOURS))
    flat = COLOURS.crop((0, 0, 32, 20))
    assert np.array_equal(as_array(to_photo(flat, 20, 32)), np.asarray(flat))


@pytest.mark.parametrize("kind", EXACT)
def test_every_mode_gives_the_same_photo(kind):
    photo = as_array(to_photo(EXACT[kind](), HEIGHT, WIDTH))
    assert np.abs(photo.astype(int) - np.asarray(RAMP)[..., None]).max() <= 1


def test_a_one_bit_photo_is_black_and_white():
    photo = as_array(to_photo(RAMP.point(lambda v: 255 * (v > 100)).convert("1"), HEIGHT, WIDTH))
    assert np.array_equal(photo, np.repeat(255 * (np.asarray(RAMP) > 100)[..., None], 3, 2))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGBa"])
def test_what_is_transparent_in_a_photo_becomes_white(mode):
    for alpha, grey in ((0, 255), (51, 204), (255, 0)):
        photo = to_photo(Image.new("RGBA", (9, 9), (0, 0, 0, alpha)).convert(mode), 4, 4)
        assert (photo.int() - grey).abs().max() <= 1
    for picture in (COLOURS.quantize(16), COLOURS.copy()):
        picture.info["transparency"] = picture.getpixel((0, 0))
        assert (to_photo(picture, 32, 32)[0, :, 0, 0] == 255).all()


def test_the_middle_of_a_photo_is_cut_out():
    wide = Image.new("RGB", (96, 32), "red")
    wide.paste(COLOURS, (32, 0))
    assert np.array_equal(as_array(to_photo(wide, 32, 32)), np.asarray(COLOURS))
    tall = Image.new("RGB", (32, 64), "red")
    tall.paste(COLOURS, (0, 16))
    assert np.array_equal(as_array(to_photo(tall, 32, 32)), np.asarray(COLOURS))
    assert np.array_equal(as_array(to_photo(tall, 64, 32)), np.asarray(tall))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_photos_are_turned_upright(orientation):
    turned = COLOURS.rotate({1: 0, 3: 180, 6: 90, 8: -90}[orientation], expand=True)
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    turned.save(file, "PNG", exif=exif)
    assert np.array_equal(as_array(to_photo(Image.open(file), 32, 32)), np.asarray(COLOURS))


@pytest.mark.parametrize("size", [(64, 64), (640, 640), (5000, 5000), (4097, 4095)])
def test_a_large_photo_is_averaged_not_sampled(size):
    """Fine stripes become grey; every second pixel alone would be black or white."""
    stripes = np.zeros((size[1], size[0]), dtype=np.uint8)
    stripes[:, ::2] = 255
    photo = to_photo(Image.fromarray(stripes), 32, 32)
    assert (photo[..., 2:-2].float() - 127.5).abs().max() < 40 and abs(float(photo.float().mean()) - 127.5) < 4


def test_a_small_change_of_size_changes_little():
    smooth = COLOURS.resize((4, 4), Image.Resampling.BOX).resize((32, 32), Image.Resampling.BICUBIC)
    for side in (16, 48, 320, 1000):
        again = as_array(to_photo(smooth.resize((side, side), Image.Resampling.BICUBIC), 32, 32))
        assert np.abs(again.astype(int) - np.asarray(smooth)).mean() < 3


@pytest.mark.parametrize("size", [(1, 1), (1, 8192), (8192, 1), (2, 3), (3, 2), (31, 33), (8192, 30)])
def test_any_size_of_one_colour_gives_a_photo_of_it(size):
    photo = to_photo(Image.new("RGB", size, (10, 200, 30)), 32, 32)
    assert photo.shape == (1, 3, 32, 32) and photo[0].amax((1, 2)).tolist() == [10, 200, 30]
    assert photo[0].amin((1, 2)).tolist() == [10, 200, 30]


def test_what_to_grey_refuses_to_photo_refuses_in_the_same_words():
    nan = Image.fromarray(np.full((4, 4), np.nan, dtype=np.float32))
    large, none = Image.new("L", (MAX_SIDE + 1, 1)), Image.new("L", (0, 5))
    for wrong in (None, "cat.png", b"", nan, large, none, Image.new("La", (9, 9))):
        told = []
        for call in (to_grey, lambda image: to_photo(image, 32, 32)):
            with pytest.raises(ValueError) as refused:
                call(wrong)
            told.append(str(refused.value))
        assert told[0] == told[1]


def test_a_photo_leaves_the_given_picture_as_it_was():
    picture = COLOURS.convert("RGBA")
    before = picture.tobytes()
    to_photo(picture, 8, 8)
    assert picture.tobytes() == before and picture.size == (32, 32)
