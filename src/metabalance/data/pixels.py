"""Pictures become pixels ``(N, C, H, W)``: decoding, turning, flattening and resizing, with nothing guessed silently.

An image is uint8 while it is stored, and float32 from 0 to 1 when a network sees it; means and deviations are
the network's business.
"""

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from metabalance.data.errors import DataError
from metabalance.data.limits import byte_limit, check_size, machine_memory

__all__ = ["ImagePreprocessor", "decode_images", "image_hashes", "to_pixels"]

# Named, so that a file called .png that is a PostScript program is not run through an interpreter.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
TURNED = ("JPEG", "MPO", "TIFF", "WEBP")  # formats whose cameras write how they were held
ORIENTATION = 0x0112
MAX_PIXELS = 89_478_485  # of one file, Pillow's own limit; a small file can claim to be an enormous picture
BLOCK = 64  # pictures that a thread decodes at a time
LARGE = 2**15  # bytes
SHOWN = 5


@dataclass(frozen=True)
class ImagePreprocessor:
    """Pixels ``(N, C, H, W)``, uint8, become float32 from 0 to 1. Nothing is learned, so nothing can leak.

    Args:
        shape: ``(C, H, W)``.

    >>> ImagePreprocessor((1, 1, 2)).transform(np.array([[[[0, 255]]]], dtype=np.uint8))
    array([[[[0., 1.]]]], dtype=float32)
    """

    shape: tuple[int, int, int]

    def fit_transform(self, pixels: np.ndarray) -> np.ndarray:
        """The same as :meth:`transform`."""
        return self.transform(pixels)

    def transform(self, pixels: np.ndarray) -> np.ndarray:
        """Values from 0 to 1.

        Raises:
            DataError: The images have another shape.
        """
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != tuple(self.shape):
            raise DataError(
                f"the images have the shape {tuple(pixels.shape[1:])}, but {tuple(self.shape)} (channels, height, "
                "width) is expected; read them with that size"
            )
        return np.multiply(pixels, np.float32(1 / 255), dtype=np.float32)


def image_hashes(pixels: np.ndarray) -> np.ndarray:
    """Hashes ``(N,)``, uint64, of images ``(N, C, H, W)``: equal pixels have equal hashes.

    >>> len(set(image_hashes(np.zeros((3, 1, 2, 2), dtype=np.uint8)).tolist()))
    1
    """
    digests = [
        hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=8).digest()
        for image in np.asarray(pixels)
    ]
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def decode_images(
    sources: Sequence[Path | bytes],
    names: Sequence[str],
    size: tuple[int, int] | None = None,
    channels: int | None = None,
) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Decodes files or their contents, on all cores.

    Cameras' orientation is respected, transparent pixels become white, 16 bits become 8, and of an animation
    the first frame counts. With ``size`` an image is stretched to it; nothing is cut off.

    Args:
        sources: Files, or bytes of files.
        names: How messages call them.
        size: ``(H, W)``; without it all must be of one size.
        channels: 1 or 3; by default 1 when all images are grey and 3 otherwise.

    Returns:
        Pixels ``(N, C, H, W)``, uint8; the original sizes ``(N, 2)``; and, by number, why some cannot be
        read (their pixels are 0).

    Raises:
        DataError: The images are of different sizes and none was given, or do not fit into memory.
    """
    shapes = np.zeros((len(sources), 3), dtype=np.int64)
    arrays: dict[int, np.ndarray] = {}
    broken: dict[int, str] = {}
    first: list[tuple[int, ...]] = []
    limit, kept = byte_limit(), [0]
    if size is not None:
        _check_memory(len(sources), (channels or 1, *size))

    def decode(i: int) -> None:
        with _open(sources[i]) as image:
            shapes[i] = _shape(image)
            first.append(tuple(shapes[i, :2]))
            # Once two sizes are known, or too many pixels, there is no picture to be made, but the rest is still looked at.
            if limit is not None and kept[0] > limit:
                return
            if size is not None or first[0] == first[-1] == tuple(shapes[i, :2]):
                arrays[i] = _decoded(image, size or first[0], channels or int(shapes[i, 2]))
                kept[0] += arrays[i].nbytes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we refuse, which is more
        warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # odd metadata
        _for_all(decode, sources, broken)
    good = [i for i in range(len(sources)) if i not in broken]
    if not good:
        return np.zeros((len(sources), channels or 1, *(size or (1, 1))), np.uint8), shapes[:, :2], broken
    shape = (channels or int(shapes[good, 2].max()), *(size or _one_size(shapes[good, :2])))
    check_size(kept[0], f"the {len(sources):,} images")
    _check_memory(len(sources), shape)
    pixels = np.zeros((len(sources), *shape), dtype=np.uint8)
    for i in good:
        pixels[i] = arrays.pop(i)  # one grey channel fills all three
    return pixels, shapes[:, :2], broken


def to_pixels(array: Any, what: str) -> np.ndarray:
    """Pixels ``(N, C, H, W)``, uint8, of an array of images in another layout or type.

    Args:
        array: ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)`` with 1, 3 or 4 channels; whole numbers from 0 to
            255, or fractions from 0 to 1. A fourth channel is transparency, and what shows through is white.
        what: How messages call it.

    Raises:
        DataError: Another shape, or values out of range.

    >>> to_pixels(np.ones((2, 8, 9, 3)), "x").shape, to_pixels(np.ones((2, 8, 9)), "x").max()
    ((2, 3, 8, 9), np.uint8(255))
    """
    array = np.asarray(array)
    if array.ndim == 3:
        array = array[:, None]
    first, last = (array.ndim == 4 and array.shape[axis] in (1, 3, 4) for axis in (1, -1))
    if array.ndim == 4 and first and last:  # (N, 3, 4, 1)? Channels are fewer than rows and columns
        last = array.shape[-1] < array.shape[1]
        first = not last
    if not (first or last) or 0 in array.shape:
        raise DataError(
            f"{what} has the shape {array.shape}, but images are (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 "
            "channels; transpose it"
        )
    array = _bytes(array if first else np.moveaxis(array, -1, 1), what)
    if array.shape[1] == 4:
        alpha = array[:, 3:].astype(np.uint16)
        array = ((array[:, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(array)


def resized(pixels: np.ndarray, size: tuple[int, int] | None, channels: int | None) -> np.ndarray:
    """Pixels ``(N, C, H, W)`` brought to a size and a number of channels."""
    if size is None and channels in (None, pixels.shape[1]):
        return pixels
    size = size or (pixels.shape[2], pixels.shape[3])
    channels = channels or pixels.shape[1]
    if pixels.shape[1:] == (channels, *size):
        return pixels
    _check_memory(len(pixels), (channels, *size))
    out = np.empty((len(pixels), channels, *size), dtype=np.uint8)
    for i, image in enumerate(pixels):
        picture = Image.fromarray(image[0] if len(image) == 1 else np.moveaxis(image, 0, -1))
        out[i] = _array(picture, size, channels)
    return out


def _for_all(work: Callable[[int], None], sources: Sequence[Path | bytes], broken: dict[int, str]) -> None:
    """Does the work for each source, of large ones on all cores; what fails is written down."""

    def block(start: int) -> None:
        for i in range(start, min(start + BLOCK, len(sources))):
            try:
                work(i)
            except Exception as error:  # decoders raise whatever they come across
                broken[i] = _reason(error)

    sample = [len(s) if isinstance(s, bytes) else s.stat().st_size for s in sources[:BLOCK] if _there(s)]
    # Small pictures are mostly headers, which Python reads: threads would only wait for each other.
    threads = os.cpu_count() or 1 if sample and np.mean(sample) > LARGE else 1
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(block, range(0, len(sources), BLOCK)):
            pass


def _there(source: Path | bytes) -> bool:
    return isinstance(source, bytes) or source.exists()


def _open(source: Path | bytes) -> Image.Image:
    data = io.BytesIO(source) if isinstance(source, bytes) else source
    if isinstance(source, Path) and source.exists() and not source.is_file():
        raise ValueError("it is no plain file")  # reading a pipe or a device might never end
    image = Image.open(data, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"it claims {image.width:,} x {image.height:,} pixels, which is too large")
    return image


def _shape(image: Image.Image) -> tuple[int, int, int]:
    """Height, width and channels as the header tells them."""
    width, height = image.size
    if image.format in TURNED and image.getexif().get(ORIENTATION, 1) >= 5:
        width, height = height, width
    grey = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")
    return height, width, 1 if grey else 3


def _decoded(image: Image.Image, size: tuple[int, ...], channels: int) -> np.ndarray:
    # A large JPEG is decoded at the smallest of its own scales that is still above twice the size.
    image.draft("L" if channels == 1 else "RGB", (2 * max(size), 2 * max(size)))
    turned = ImageOps.exif_transpose(image) if image.format in TURNED else image
    return _array(turned, size, channels)


def _array(image: Image.Image, size: tuple[int, ...], channels: int) -> np.ndarray:
    image = _flat(image).convert("L" if channels == 1 else "RGB")
    if image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    array = np.asarray(image)
    return array[None] if channels == 1 else np.moveaxis(array, -1, 0)


def _flat(image: Image.Image) -> Image.Image:
    """Without transparency, and with 8 bits a channel."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65_535:
            raise ValueError("its values do not fit into 16 bits")
        return Image.fromarray((values // 257).astype(np.uint8))  # convert() would cut off all above 255
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image of a known format"
    if isinstance(error, Image.DecompressionBombError):
        return "it claims to be too large"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).split())[:80] or type(error).__name__


def _one_size(sizes: np.ndarray) -> tuple[int, int]:
    different = np.unique(sizes, axis=0)
    if len(different) > 1:
        by_area = different[np.argsort(different.prod(axis=1), kind="stable")]
        (low, wide), (high, wider) = by_area[0], by_area[-1]
        raise DataError(
            f"the images have {len(different)} different sizes, from {low}x{wide} to {high}x{wider} (height x width); "
            "bring them to one with --image-size 64, or 48x64"
        )
    return int(different[0, 0]), int(different[0, 1])


def _bytes(array: np.ndarray, what: str) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind not in "iuf":
        raise DataError(f"{what} holds {array.dtype}, but pixels are numbers")
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high > 255:
        raise DataError(
            f"{what} holds values from {low:g} to {high:g}, but pixels are from 0 to 255, or fractions from 0 to 1; "
            "undo the normalisation, the network does its own"
        )
    if array.dtype.kind == "f" and high <= 1:
        return np.rint(array * 255).astype(np.uint8)
    return np.rint(array).astype(np.uint8)


def _check_memory(count: int, shape: tuple[int, ...]) -> None:
    """Refuses, before the machine begins to swap, what cannot be held as float32."""
    memory = machine_memory()
    need = 4 * count * int(np.prod(shape, dtype=object))
    if memory is not None and need > memory:
        raise DataError(
            f"{count:,} images of {shape[1]}x{shape[2]} need {need / 1e9:,.0f} GB, but this machine has "
            f"{memory / 1e9:,.0f}; use fewer, or a smaller --image-size"
        )
    check_size(count * int(np.prod(shape, dtype=object)), f"{count:,} images of {shape[1]}x{shape[2]}")
