"""Any picture becomes the same upright sRGB JPEG; what is no picture has a reason."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms

from data_prep.images import normalise_picture
from data_prep.sources.base import PictureError
from data_prep.sources.local import LocalPicture
from iconoclip.records import RejectReason

RED, BLUE, WHITE = (200, 30, 30), (30, 30, 200), (255, 255, 255)


def encode(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def normalise(data: bytes, **options):
    return normalise_picture(data, **{"max_px": 512, "quality": 95, "max_source_px": 10_000_000, **options})


def half_and_half(size=(40, 20)) -> Image.Image:
    """Left red, right blue."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image


def near(pixel, want, tolerance=8) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, want, strict=True))


def test_a_large_picture_is_shrunk_to_its_longer_side_and_keeps_its_original_size():
    result = normalise(encode(half_and_half((1000, 400))), max_px=100)
    assert result.image.size == Image.open(io.BytesIO(result.jpeg)).size == (100, 40)
    assert (result.orig_width, result.orig_height) == (1000, 400)


def test_a_small_picture_is_not_blown_up():
    assert normalise(encode(half_and_half())).image.size == (40, 20)


def test_the_same_bytes_come_out_twice_and_nothing_of_the_source_s_metadata():
    exif = Image.Exif()
    exif[0x010E] = "a secret"
    data = encode(half_and_half(), "JPEG", exif=exif, comment=b"a secret")
    first = normalise(data).jpeg
    assert first == normalise(data).jpeg
    assert b"secret" not in first
    assert not Image.open(io.BytesIO(first)).getexif()


def test_exif_orientation_turns_the_picture_and_its_original_size():
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying: show turned by 90 degrees clockwise, so the left side (red) comes up
    result = normalise(encode(half_and_half(), "JPEG", exif=exif, quality=95))
    assert result.image.size == (20, 40)
    assert (result.orig_width, result.orig_height) == (20, 40)
    assert near(result.image.getpixel((10, 5)), RED)


def test_a_stated_turn_is_clockwise():
    result = normalise(encode(half_and_half()), turn_deg=90)
    assert result.image.size == (20, 40)
    assert near(result.image.getpixel((10, 5)), RED)
    assert near(normalise(encode(half_and_half()), turn_deg=180).image.getpixel((5, 10)), BLUE)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_becomes_white(mode):
    image = Image.new("RGBA", (20, 20), (10, 10, 10, 0))
    image.paste((10, 10, 10, 255), (0, 0, 10, 20))
    result = normalise(encode(image.convert(mode))).image
    assert result.mode == "RGB"
    assert near(result.getpixel((3, 10)), (10, 10, 10), 12)
    assert near(result.getpixel((17, 10)), WHITE, 12)


def test_sixteen_bits_keep_their_range():
    values = np.linspace(0, 65535, 64, dtype=np.uint16)[None].repeat(16, axis=0)
    result = np.asarray(normalise(encode(Image.fromarray(values), "PNG")).image)[:, :, 0]
    assert result[8, 0] < 8
    assert result[8, 63] > 247
    assert abs(int(result[8, 32]) - 130) < 8  # 65535 * 32/63 / 257 = 129.5


def test_cmyk_bilevel_and_float_pictures():
    assert normalise(encode(Image.new("CMYK", (20, 20), (0, 0, 0, 0)), "JPEG")).image.getpixel((5, 5)) == WHITE
    assert normalise(encode(Image.new("1", (20, 20), 1))).image.getpixel((5, 5)) == WHITE
    floats = Image.fromarray(np.full((20, 20), 0.5, dtype=np.float32))
    assert near(normalise(encode(floats, "TIFF")).image.getpixel((5, 5)), (128, 128, 128))


def test_a_colour_profile_is_converted_to_srgb():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    to_lab = ImageCms.profileToProfile(
        Image.new("RGB", (20, 20), RED), ImageCms.createProfile("sRGB"), lab, outputMode="LAB"
    )
    assert to_lab is not None
    data = encode(to_lab, "TIFF", icc_profile=lab.tobytes())
    assert near(normalise(data).image.getpixel((5, 5)), RED)
    assert near(normalise(encode(Image.new("RGB", (20, 20), RED), icc_profile=b"broken")).image.getpixel((5, 5)), RED)


@pytest.mark.parametrize("data", [
    b"", b"no picture", encode(half_and_half((400, 400)), "JPEG")[:900], encode(half_and_half((400, 400)))[:60],
    b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"GIF89a",
])  # fmt: skip
def test_a_broken_or_truncated_picture_has_a_reason(data):
    with pytest.raises(PictureError) as error:
        normalise(data)
    assert error.value.reason == RejectReason.IMAGE_BROKEN


def test_a_decompression_bomb_is_refused_before_it_is_decoded():
    bomb = encode(Image.new("1", (20_000, 20_000)))  # 400 million pixels in 50 kB
    assert len(bomb) < 100_000
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PictureError) as error:
            normalise(bomb, max_source_px=300_000_000)
    assert error.value.reason == RejectReason.IMAGE_TOO_LARGE
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_path_or_link_out_of_the_root_is_refused(tmp_path):
    root = (tmp_path / "pictures").resolve()
    root.mkdir()
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"x")
    (root / "link.jpg").symlink_to(secret)
    for path in (root / "../secret.jpg", root / "link.jpg", "/etc/passwd"):
        with pytest.raises(PictureError) as error:
            LocalPicture(str(root), str(path)).read()
        assert error.value.reason == RejectReason.IMAGE_OUTSIDE_ROOT
    for path in (root / "none.jpg", root, f"{root}/a\0b.jpg"):
        with pytest.raises(PictureError) as error:
            LocalPicture(str(root), str(path)).read()
        assert error.value.reason == RejectReason.IMAGE_MISSING


def test_names_are_found_however_they_are_composed(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "Ba\u0308r.jpg").write_bytes(b"bear")  # as macOS exports it
    assert LocalPicture(str(tmp_path.resolve()), f"{tmp_path}/sub/B\u00e4r.jpg").read() == b"bear"
    assert LocalPicture(str(tmp_path.resolve()), f"{tmp_path}/sub\\Ba\u0308r.jpg").read() == b"bear"


@pytest.mark.parametrize("size", [(1501, 1103), (1499, 875), (1203, 1800), (3001, 2003)])
def test_fast_shrinking_lies_near_lanczos_over_all_pixels(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(7)
    width, height = size
    lines = np.sin(np.arange(width)[None, :] * 600 / width) * np.sin(
        np.arange(height)[:, None] * 450 / height
    )  # a hatching
    grain = rng.normal(0, 4, (height, width))
    grey = np.clip(128 + 90 * lines + grain, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).convert("RGB").save(buffer, "JPEG", quality=92)
    got = normalise_picture(buffer.getvalue(), max_px=512, quality=90, max_source_px=10**8).image
    full = Image.open(io.BytesIO(buffer.getvalue())).convert("RGB").resize(got.size, Image.Resampling.LANCZOS)
    error = np.asarray(got, float) - np.asarray(full, float)
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 30  # 25 dB where the picture is shifted by half a pixel
