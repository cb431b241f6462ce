"""Parts of pictures: cut out of the upright picture, whatever EXIF and the catalogue say about turning it."""

import io
from itertools import product

import pytest
from PIL import Image

from data_prep.images import NormalisedPicture, normalise_picture
from data_prep.local_files import LocalPicture

RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 160, 60), (30, 60, 200), (250, 250, 250)
# Quarters of the upright picture, by the place of their upper left corner
QUARTERS = {(0.0, 0.0): RED, (0.5, 0.0): GREEN, (0.0, 0.5): BLUE, (0.5, 0.5): WHITE}
# What is done to store the picture, so that its EXIF orientation undoes it (Pillow turns anticlockwise)
STORE = {
    1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def quarters(size: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", size)
    for (left, top), colour in QUARTERS.items():
        image.paste(colour, (int(left * size[0]), int(top * size[1]), size[0], size[1]))
    return image


def normalise(
    image: Image.Image, kind: str = "JPEG", *, orientation: int = 1, max_px: int = 64, **options
) -> NormalisedPicture:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    return normalise_picture(buffer.getvalue(), max_px=max_px, quality=95, max_source_px=10**8, **options)


def near(one, other) -> bool:
    return all(abs(a - b) < 24 for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("orientation", "turn_deg"), list(product(STORE, (0, 90, 180, 270))))
def test_box_is_that_of_the_upright_picture(orientation: int, turn_deg: int) -> None:
    stored = quarters((400, 240)).rotate(turn_deg, expand=True)  # anticlockwise, to be undone clockwise
    if STORE[orientation] is not None:
        stored = stored.transpose(STORE[orientation])
    for (left, top), colour in QUARTERS.items():
        part = normalise(stored, orientation=orientation, turn_deg=turn_deg, box=(left, top, 0.5, 0.5))
        assert part.image.size == (64, 38)  # 200 x 120 px, the longer side 64
        assert (part.orig_width, part.orig_height) == (200, 120)
        assert near(part.image.getpixel((32, 19)), colour)
        assert near(part.image.getpixel((4, 4)), colour)


def test_part_of_a_large_jpeg_keeps_its_detail() -> None:
    """The decoder may give an eighth of the picture, but not of a part that is then too small."""
    image = Image.new("RGB", (3200, 1600), "white")
    for x in range(1600, 1700, 4):  # lines two pixels wide in a part of 100 x 100 px
        image.paste("black", (x, 0, x + 2, 100))
    part = normalise(image, max_px=100, box=(0.5, 0.0, 100 / 3200, 100 / 1600))
    assert part.image.size == (100, 100)
    row = [part.image.getpixel((x, 50))[0] for x in range(100)]
    assert min(row) < 60
    assert max(row) > 195


def test_part_is_never_enlarged_and_never_empty() -> None:
    small = normalise(quarters((400, 240)), max_px=512, box=(0.5, 0.5, 0.1, 0.1))
    assert small.image.size == (40, 24)
    speck = normalise(quarters((40, 24)), "PNG", box=(0.999, 0.999, 0.001, 0.001))
    assert speck.image.size == (1, 1)


def test_parts_of_a_file_are_pictures_of_their_own(tmp_path) -> None:
    path = tmp_path / "page.png"
    quarters((40, 24)).save(path)
    whole = LocalPicture(str(tmp_path), str(path))
    parts = [LocalPicture(str(tmp_path), str(path), box=(left, 0.0, 0.5, 0.5)) for left in (0.0, 0.5)]
    assert len({each.fingerprint() for each in (whole, *parts)}) == 3
