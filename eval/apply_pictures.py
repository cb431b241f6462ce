"""Pictures to apply a model to: a folder with no metadata at all, one file, or shards.

``open_pictures(path)`` lists them in a stable order; ``read(position)`` gives a picture as it should be seen (upright,
RGB, transparent parts on white), or says why it cannot be.
"""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageMath, ImageOps

from iconoclip.errors import EvaluationError, pillow_reason
from iconoclip.records import Record
from iconoclip.shards import MANIFEST_NAME, ShardSet, open_shards, splits

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".webp", ".gif", ".bmp", ".jp2", ".avif"})
MAX_PX = 1024  # longer side kept in memory; every model of ours sees fewer pixels


class BrokenPictureError(Exception):
    """A picture that cannot be decoded; the message is the reason."""


@dataclass(frozen=True)
class Pictures:
    """Pictures under stable names, in order; ``skipped`` are (name, reason) of files that were left aside."""

    ids: tuple[str, ...]
    read_bytes: Callable[[int], bytes]
    captions: Callable[[int], str]
    record: Callable[[int], Record | None] = lambda position: None
    skipped: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, position: int) -> Image.Image:
        """Decoded picture, at most :data:`MAX_PX` on its longer side.

        Raises:
            BrokenPictureError: it is no picture, is cut off, or is larger than Pillow's limit against bombs.
        """
        try:
            return upright_rgb(self.read_bytes(position))
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            reason = pillow_reason(error)
            raise BrokenPictureError(reason.replace("cannot identify image file", "not a picture")) from None


def open_pictures(source: Path) -> Pictures:
    """List the pictures of a folder (with its subfolders), one picture, a shard set of ours, or tars.

    Raises:
        EvaluationError: there is nothing there.
        ShardError: shards that cannot be read.
    """
    if source.suffix == ".tar" or (source / MANIFEST_NAME).is_file() or any(source.glob("*.tar")):
        return _from_shards(source)
    if source.is_file():
        return _from_files(source.parent, [source], ())
    if not source.is_dir():
        raise EvaluationError(f"{source}: not there; give a folder of pictures or shards")
    files, skipped = _walk(source)
    if not files:
        aside = f" ({len(skipped)} links that lead out of it are not followed)" if skipped else ""
        raise EvaluationError(
            f"{source}: no pictures in it{aside}; they end in {', '.join(sorted(SUFFIXES))}, subfolders count too"
        )
    return _from_files(source, files, skipped)


def upright_rgb(data: bytes, *, max_px: int | None = MAX_PX) -> Image.Image:
    """Decode to RGB: EXIF orientation applied, 16 bits scaled to 8, transparent parts on white, first page or frame.

    The longer side is at most ``max_px``; None keeps the size.
    """
    with Image.open(io.BytesIO(data)) as image:
        if max_px is not None:
            image.draft("RGB", (max_px, max_px))
        image.load()
        upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        upright = _to_eight_bits(upright)
    if "A" in upright.mode or "transparency" in upright.info:
        clear = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    rgb = upright.convert("RGB")
    if max_px is not None:
        rgb.thumbnail((max_px, max_px), Image.Resampling.LANCZOS)
    return rgb


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale the darkest value to 0 and the lightest to 255: Pillow's own conversion clips 16 bits to white."""
    low, high = image.convert("F").getextrema()
    span = max(float(high) - float(low), 1.0)  # type: ignore[arg-type]
    scaled = ImageMath.lambda_eval(lambda args: (args["x"] - low) * 255.0 / span, x=image.convert("F"))
    return scaled.convert("L")


def _walk(root: Path) -> tuple[list[Path], tuple[tuple[str, str], ...]]:
    """Picture files under ``root`` by name; links that lead out of it are set aside, hidden files are not looked at."""
    home, files, skipped = root.resolve(), [], []
    for folder, names, found in os.walk(root, followlinks=False):
        names[:] = sorted(name for name in names if not name.startswith(".") and name != "__MACOSX")
        for name in sorted(found):
            path = Path(folder, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            if path.is_symlink() and home not in path.resolve().parents:
                skipped.append((_name(path.relative_to(root)), "a link that leads out of the folder"))
            elif path.is_file():
                files.append(path)
            else:
                skipped.append((_name(path.relative_to(root)), "not a file, or a link to nothing"))
    files.sort(key=lambda path: path.relative_to(root).parts)
    return files, tuple(skipped)


def _name(path: Path) -> str:
    """File name as text, also where its bytes are not UTF-8."""
    return os.fsencode(path.as_posix()).decode("utf-8", "replace")


def _from_files(root: Path, files: list[Path], skipped: tuple[tuple[str, str], ...]) -> Pictures:
    return Pictures(
        ids=tuple(_name(path.relative_to(root)) for path in files),
        read_bytes=lambda position: files[position].read_bytes(),
        captions=lambda position: "",
        skipped=skipped,
    )


def _from_shards(source: Path) -> Pictures:
    is_ours = (source / MANIFEST_NAME).is_file()
    parts = [open_shards(source, split) for split in splits(source)] if is_ours else [open_shards(source)]
    where = [(part, position) for part in parts for position in range(len(part))]
    if not where:
        raise EvaluationError(f"{source}: these shards hold no samples")
    return Pictures(
        ids=tuple(_record_id(part, position) for part, position in where),
        read_bytes=lambda place: where[place][0].image_bytes(where[place][1]),
        captions=lambda place: where[place][0].text(where[place][1]),
        record=lambda place: where[place][0].record(where[place][1]),
    )


def _record_id(part: ShardSet, position: int) -> str:
    try:
        return part.record(position).id
    except (ValueError, TypeError, KeyError):
        return part.keys[position]
