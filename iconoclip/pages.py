"""Write self-contained HTML pages: text escaped, pictures inline, nothing fetched, no script but one that is named.

``page("Title", [paragraph("A & B")])`` gives a whole document. A Content-Security-Policy in the page forbids every
request and every script but one of our own, by its hash, so a page opens the same from a USB stick, in an archive and
on an intranet.
"""

import base64
import hashlib
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template

from PIL import Image, ImageOps

TEMPLATES = Path(__file__).parent / "templates"
THIN_SPACE = "\u202f"  # narrow and no-break: between a number and its unit
MINUS = "\u2212"

_HIDDEN = {code: None for code in range(32) if chr(code) not in "\n\t"} | {127: None}
# Embedded, override and isolate marks can turn the rest of a line around; captions are set in <bdi> instead.
_HIDDEN |= dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)))


def page(title: str, parts: Iterable[str], *, css: Sequence[str] = (), script: str = "", lang: str = "en") -> str:
    """Return a whole document: ``parts`` is HTML that is already escaped, ``css`` names further files of templates/.

    ``script`` names one file of templates/; the page must be whole without it.
    """
    style = "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", *css))
    code = (TEMPLATES / script).read_text(encoding="utf-8") if script else ""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode("ascii")
    template = Template((TEMPLATES / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        lang=escape(lang), title=escape(title), css=style, body="\n".join(parts),
        policy=f"; script-src 'sha256-{digest}'" if code else "", script=f"<script>{code}</script>\n" if code else "",
    )  # fmt: skip


def escape(text: object) -> str:
    """Make any text safe between tags and inside quoted attributes; control characters are left out."""
    return html.escape(str(text).translate(_HIDDEN), quote=True)


def quoted(text: str, lang: str = "") -> str:
    """Text of a collection as it stands there: isolated from our own text, with its language if known."""
    language = f' lang="{escape(lang)}"' if lang and lang != "und" else ""
    return f'<bdi dir="auto"{language}>{escape(text)}</bdi>'


def paragraph(text: str, *, css: str = "") -> str:
    """One paragraph of plain text."""
    return f"<p{_class(css)}>{escape(text)}</p>"


def link(url: str, text: str) -> str:
    """Link to a page on the web; anything but http(s) stays text (a caption file may hold ``javascript:``)."""
    if not url.lower().startswith(("https://", "http://")):
        return escape(text)
    return f'<a href="{escape(url)}" rel="noreferrer noopener">{escape(text)}</a>'


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numeric: Iterable[int] = (),
    css: str = "",
    labels: Sequence[str] = (),
) -> str:
    """Table of cells that are HTML already; columns in ``numeric`` are set flush right.

    With ``labels``, plain text for each column, a style sheet can set rows as cards where a screen is narrow.
    """
    right = set(numeric)

    def label(tag: str, column: int) -> str:
        return f' data-label="{escape(labels[column])}"' if labels and tag == "td" else ""

    def cells(tag: str, values: Sequence[str]) -> str:
        kind = ' scope="col"' if tag == "th" else ""
        return "".join(
            f"<{tag}{kind}{_class('n' if column in right else '')}{label(tag, column)}>{value}</{tag}>"
            for column, value in enumerate(values)
        )

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table{_class(css)}><thead><tr>{cells("th", head)}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def picture(jpeg: bytes | None, alt: str, *, missing: str = "no picture to show") -> str:
    """Inline picture, or a sentence in its place; ``jpeg`` comes from :func:`thumbnail`."""
    if not jpeg:
        return f'<span class="none">{escape(missing)}</span>'
    data = base64.b64encode(jpeg).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{data}" alt="{escape(alt)}">'


def thumbnail(data: bytes, *, side_px: int = 256, quality: int = 82) -> bytes | None:
    """Shrink a picture to a JPEG of at most ``side_px``, upright and without metadata; None if it is broken."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format == "JPEG" and max(image.size) <= side_px and not image.getexif() and len(data) < 32_768:
                image.load()  # a truncated file must not pass
                return data
            image.draft("RGB", (2 * side_px, 2 * side_px))
            upright = ImageOps.exif_transpose(image).convert("RGB")
            upright.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
            out = io.BytesIO()
            upright.save(out, "JPEG", quality=quality, optimize=True)
            return out.getvalue()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _class(names: str) -> str:
    return f' class="{names}"' if names else ""
