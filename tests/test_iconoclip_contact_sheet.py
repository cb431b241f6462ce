"""Contact sheets are one file that fetches nothing, runs nothing and shows hostile captions as text."""

import base64
import io
import re

import pytest
from PIL import Image

from iconoclip import pages
from iconoclip.contact_sheet import Card, Section, write_contact_sheet

HOSTILE = '<script>alert(1)</script>"><img src=http://evil.example/x.png> & \u202egnp.exe'


def write(tmp_path, card):
    path = write_contact_sheet(tmp_path / "sheet.html", [Section(HOSTILE, (card,), HOSTILE)], title=HOSTILE)
    return path.read_text(encoding="utf-8")


def test_hostile_text_stays_text(tmp_path, make_jpeg):
    text = write(
        tmp_path, Card(make_jpeg(1), (HOSTILE, HOSTILE), badge=HOSTILE, lang='en" onload="x', url="javascript:alert(1)")
    )
    assert "<script" not in text
    assert "javascript:" not in text
    assert "\u202e" not in text
    assert "<img src=http" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_every_resource_is_inline_and_the_page_forbids_requests(tmp_path, make_jpeg):
    text = write(tmp_path, Card(make_jpeg(1), ("a",), url="https://example.org/object/1"))
    assert re.findall(r'src="([^"]{0,16})', text) == ["data:image/jpeg;"]
    assert "default-src 'none'" in text
    assert not re.search(r"<link|@import|url\(", text)
    assert re.findall(r'href="([^"]*)"', text) == ["https://example.org/object/1"]


def test_pictures_are_at_most_256_px_and_lose_their_metadata(tmp_path):
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    exif[0x8298] = "secret"
    Image.new("RGB", (800, 400), "red").save(buffer, "JPEG", exif=exif)
    text = write(tmp_path, Card(buffer.getvalue()))
    data = base64.b64decode(re.search(r"base64,([^\"]+)", text).group(1))
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (128, 256)  # upright: 400 x 800, shrunk to 256
        assert not image.getexif()


@pytest.mark.parametrize("data", [b"", b"not a picture"])
def test_a_broken_picture_keeps_its_place(tmp_path, data):
    text = write(tmp_path, Card(data, ("lost",)))
    assert "this picture cannot be decoded" in text
    assert "lost" in text


def test_a_truncated_small_jpeg_is_broken(make_jpeg):
    assert pages.thumbnail(make_jpeg(3)[:400]) is None


def test_no_pictures_gives_a_sentence(tmp_path):
    path = write_contact_sheet(tmp_path / "sheet.html", [Section("empty", ())], title="t")
    assert "No pictures." in path.read_text(encoding="utf-8")
