"""Drawings become 128 x 128 RGB images on white, stored as WebP."""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import ProcessPoolExecutor

import resvg_py
from PIL import Image, ImageChops, ImageDraw

SIZE = 128
_MARGIN = 4
_WHITE = (255, 255, 255)
_FRAME = (160, 160, 160)
_LARGE = 384
_QUALITY = 75


def to_picture(artwork: str | bytes, finish: str) -> tuple[bytes, str] | None:
    """Return the WebP bytes of a drawing and a checksum of its pixels, or None if it shows nothing.

    Parameters
    ----------
    artwork : str or bytes
        SVG text, SVG bytes, or an encoded raster image.
    finish : str
        ``crop`` cuts away empty margins (clip art often stands in the corner of a blank page);
        ``frame`` draws a thin line around a flag that may be white at its edge.
    """
    try:
        image = _on_white(_open(artwork, _LARGE if finish else SIZE))
    except ValueError:
        return None
    box = ImageChops.difference(image, Image.new("RGB", image.size, _WHITE)).getbbox()
    if box is None:
        return None
    if finish == "crop":
        image = image.crop(box)
    image = _square(image, SIZE - 2 * _MARGIN if finish else SIZE, finish == "frame")
    if _is_blank(image):
        return None
    blob = _smallest_webp(image)
    pixels = Image.open(io.BytesIO(blob)).convert("RGB").tobytes()
    return blob, hashlib.sha256(pixels).hexdigest()


def _smallest_webp(image: Image.Image) -> bytes:
    """Return an image as WebP: flat drawings are smaller without loss, shaded ones with it."""
    encoded = []
    lossy = {"quality": _QUALITY, "method": 6}
    lossless = {"lossless": True, "quality": 60, "method": 4}  # here they mean effort
    for options in (lossy, lossless):
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", **options)
        encoded.append(buffer.getvalue())
    return min(encoded, key=len)


def _open(artwork: str | bytes, width: int) -> Image.Image:
    """Return a drawing as RGBA, SVG at a width or height of that many pixels."""
    if isinstance(artwork, bytes) and (artwork[:4] in (b"RIFF", b"\x89PNG")):
        return Image.open(io.BytesIO(artwork)).convert("RGBA")
    text = artwork if isinstance(artwork, str) else artwork.decode("utf-8", "replace")
    # Sizes in points or millimetres need a resolution, else the renderer calls them invalid.
    # Without system fonts the same bytes come out on every machine.
    png = resvg_py.svg_to_bytes(svg_string=text, width=width, dpi=90, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def _on_white(image: Image.Image) -> Image.Image:
    """Return an RGB image with white where the drawing is transparent."""
    ground = Image.new("RGBA", image.size, (*_WHITE, 255))
    return Image.alpha_composite(ground, image).convert("RGB")


def _square(image: Image.Image, inside: int, framed: bool) -> Image.Image:
    """Return the image scaled to fit, in the middle of a white square."""
    scale = inside / max(image.size)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    square = Image.new("RGB", (SIZE, SIZE), _WHITE)
    left, top = (SIZE - size[0]) // 2, (SIZE - size[1]) // 2
    square.paste(image, (left, top))
    if framed:
        edge = (left - 1, top - 1, left + size[0], top + size[1])
        ImageDraw.Draw(square).rectangle(edge, outline=_FRAME)
    return square


def _is_blank(image: Image.Image) -> bool:
    """Return whether hardly anything differs from white."""
    histogram = image.convert("L").histogram()
    return sum(histogram[:225]) < 0.004 * SIZE * SIZE


def _task(job: tuple[str | bytes, str]) -> tuple[bytes, str] | None:
    return to_picture(*job)


def render_all(jobs: list[tuple[str | bytes, str]], workers: int) -> list[tuple[bytes, str] | None]:
    """Return `to_picture` of every job, in order, on several processes."""
    results = []
    with ProcessPoolExecutor(workers) as pool:
        for done, result in enumerate(pool.map(_task, jobs, chunksize=64), start=1):
            results.append(result)
            if done % 2000 == 0 or done == len(jobs):
                print(f"  drawn {done} of {len(jobs)}", flush=True)
    return results
