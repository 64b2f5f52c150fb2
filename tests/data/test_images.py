"""Reading images: layouts, modes and sizes; whatever is broken is counted and named, never skipped in silence."""

import gzip
import io
import os
import struct

import numpy as np
import pytest
from PIL import Image

from metabalance.data.errors import DataError
from metabalance.data.images import Images, holds_images, read_images
from metabalance.data.pixels import ImagePreprocessor, decode_images, image_hashes, to_pixels

RED, GREEN = (255, 0, 0), (0, 255, 0)


def picture(path, colour=RED, size=(6, 4), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **options)
    return path


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for i in range(3):
        picture(folder / "cat" / f"{i}.png")
    picture(folder / "dog" / "deep" / "er" / "a.PNG", GREEN)
    picture(folder / "dog" / "b.JPeG", GREEN, quality=95)
    return folder


# ------------------------------------------------------------------------------------------------ folders


def test_a_folder_of_classes(photos):
    images = read_images(photos)
    assert isinstance(images, Images)
    assert images.pixels.shape == (5, 3, 4, 6)
    assert images.pixels.dtype == np.uint8
    assert images.classes == ("cat", "dog")
    assert images.labels.tolist() == [0, 0, 0, 1, 1]
    assert images.names == ("cat/0.png", "cat/1.png", "cat/2.png", "dog/b.JPeG", "dog/deep/er/a.PNG")
    assert (images.pixels[0] == np.array(RED).reshape(3, 1, 1)).all()
    np.testing.assert_allclose(
        images.pixels[3], np.broadcast_to(np.array(GREEN).reshape(3, 1, 1), (3, 4, 6)), atol=3
    )
    assert images.sizes.tolist() == [[4, 6]] * 5


def test_hidden_files_are_ignored_and_others_are_told(photos):
    (photos / ".DS_Store").write_bytes(b"x")
    (photos / "cat" / ".hidden.png").write_bytes(b"no image")
    (photos / "__MACOSX").mkdir()
    (photos / "cat" / "Thumbs.db").write_bytes(b"x")
    (photos / "cat" / "notes.txt").write_text("a cat")
    assert read_images(photos).left_out == ("cat/notes.txt",)


def test_links_are_followed_but_not_in_circles(photos, tmp_path):
    other = tmp_path / "elsewhere"
    picture(other / "x.png")
    (photos / "fox").symlink_to(other, target_is_directory=True)
    (photos / "cat" / "loop").symlink_to(photos, target_is_directory=True)
    images = read_images(photos)
    assert images.classes == ("cat", "dog", "fox")
    assert len(images.names) == 6


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p: picture(p / "loose.png"), "1 image beside its class folders (loose.png)"),
        (lambda p: (p / "eel").mkdir(), "eel holds no image"),
        (lambda p: [f.unlink() for f in p.rglob("*.png")], "cat holds no image"),
        (lambda p: [f.unlink() for f in p.rglob("*.*")], "holds no image"),
    ],
)
def test_folders_that_are_no_classes(photos, spoil, said):
    spoil(photos)
    with pytest.raises(DataError) as error:
        read_images(photos)
    assert said in str(error.value)


def test_one_class_parts_flat_and_empty_folders(tmp_path, photos):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image and no other file"):
        read_images(tmp_path / "empty")
    (tmp_path / "empty").rmdir()
    with pytest.raises(DataError, match=r"name .*photos if its sub-folders are the classes"):
        read_images(tmp_path)
    for part in ("train", "test"):
        picture(tmp_path / "parts" / part / "cat" / "a.png")
        picture(tmp_path / "parts" / part / "dog" / "a.png")
    with pytest.raises(DataError, match=r"look like parts and not like classes; name one of them, .*train"):
        read_images(tmp_path / "parts")
    assert read_images(tmp_path / "parts" / "train").classes == ("cat", "dog")
    with pytest.raises(DataError, match="3 images but no sub-folder for each class"):
        read_images(photos / "cat")
    picture(tmp_path / "single" / "cat" / "a.png")
    with pytest.raises(DataError, match="the one class 'cat'; at least two"):
        read_images(tmp_path / "single")
    with pytest.raises(DataError, match="there is no file or folder"):
        read_images(tmp_path / "photso")
    with pytest.raises(DataError, match="single image"):
        read_images(photos / "cat" / "0.png")


def test_without_labels_any_folder_or_file_will_do(photos):
    images = read_images(photos, labelled=False)
    assert images.labels is None
    assert images.classes == ()
    assert len(images.names) == 5
    assert read_images(photos / "cat", labelled=False).names == ("0.png", "1.png", "2.png")
    assert read_images(photos / "cat" / "0.png", labelled=False).pixels.shape == (1, 3, 4, 6)


def test_different_sizes_are_refused_or_brought_to_one(photos):
    picture(photos / "cat" / "large.png", size=(60, 80))
    with pytest.raises(
        DataError, match=r"2 different sizes, from 4x6 to 80x60 \(height x width\); .*--image-size"
    ):
        read_images(photos)
    images = read_images(photos, size=(5, 7))
    assert images.pixels.shape == (6, 3, 5, 7)
    assert (images.pixels[:4] == np.array(RED).reshape(3, 1, 1)).all()
    assert images.sizes.tolist()[3] == [80, 60]
    assert read_images(photos, size=3).pixels.shape == (6, 3, 3, 3)
    for wrong in (0, -3, (4, 5, 6), 10**6, "big"):
        with pytest.raises(DataError, match="image size"):
            read_images(photos, size=wrong)


def test_resizing_averages_rather_than_picks(tmp_path):
    """A checkerboard of single pixels is even grey at half the size, not black or white."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    file = tmp_path / "board.png"
    Image.fromarray(board).save(file)
    inner = read_images(file, size=8, labelled=False).pixels[0, 0, 1:-1, 1:-1]
    assert np.abs(inner.astype(int) - 127).max() <= 2


# --------------------------------------------------------------------------------------------- broken files


def test_broken_files_are_counted_and_named_or_left_out_by_request(photos):
    whole = (photos / "cat" / "0.png").read_bytes()
    (photos / "cat" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (photos / "dog" / "text.jpg").write_text("not an image")
    (photos / "dog" / "nothing.gif").write_bytes(b"")
    with pytest.raises(DataError) as error:
        read_images(photos)
    for part in (
        "3 of 8 files",
        "cat/cut.png",
        "dog/nothing.gif",
        "dog/text.jpg (not an image of a known format)",
    ):
        assert part in str(error.value)
    images = read_images(photos, skip_broken=True)
    assert images.labels.tolist() == [0, 0, 0, 1, 1]
    assert images.left_out == ("cat/cut.png", "dog/nothing.gif", "dog/text.jpg")
    (photos / "eel").mkdir()
    (photos / "eel" / "x.png").write_bytes(b"")
    with pytest.raises(DataError, match="no image of the class 'eel' can be read"):
        read_images(photos, skip_broken=True)


def test_many_broken_files_make_one_short_sentence(tmp_path):
    for i in range(40):
        picture(tmp_path / "a" / f"{i:02}.png").write_bytes(b"x")
    picture(tmp_path / "b" / "y.png")
    with pytest.raises(DataError, match=r"40 of 41 files .* and 35 more") as error:
        read_images(tmp_path)
    assert len(str(error.value)) < 500


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_and_folders_are_named(photos):
    (photos / "cat" / "0.png").chmod(0)
    with pytest.raises(DataError, match=r"cat/0.png \(permission denied\)"):
        read_images(photos)
    (photos / "dog").chmod(0)
    try:
        with pytest.raises(DataError, match="dog cannot be read"):
            read_images(photos)
    finally:
        (photos / "dog").chmod(0o755)


def test_a_folder_called_like_an_image_and_a_dangling_link(photos):
    (photos / "cat" / "gone.png").symlink_to(photos / "nowhere.png")
    with pytest.raises(DataError, match=r"cat/gone.png \(no such file or directory\)"):
        read_images(photos)


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path):
    for side in (12_000, 40_000):  # above our limit, above the decoder's own
        head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        chunks = [(b"IHDR", head), (b"IDAT", b""), (b"IEND", b"")]
        import zlib

        data = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks
        )
        _, _, broken = decode_images([data], ["bomb.png"])
        assert "large" in broken[0]


def test_programs_in_disguise_are_not_run(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    with pytest.raises(DataError, match="not an image of a known format"):
        read_images(tmp_path, labelled=False)


def test_random_bytes_are_read_or_refused():
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(buffer, "JPEG")
    whole = bytearray(buffer.getvalue())
    spoiled = []
    for _ in range(200):
        copy = bytearray(whole)
        for at in rng.integers(0, len(copy), 6):
            copy[at] = rng.integers(256)
        spoiled.append(bytes(copy))
    pixels, _, broken = decode_images(spoiled, [""] * 200, size=(20, 20), channels=3)
    assert 0 < len(broken) < 200
    assert (pixels[sorted(broken)] == 0).all()


# ------------------------------------------------------------------------------------------ modes of colour


def one(image, channels=None, suffix="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, suffix, **options)
    pixels, _, broken = decode_images([buffer.getvalue()], ["it"], channels=channels)
    assert broken == {}
    return pixels[0]


def test_grey_stays_grey_unless_colour_is_asked_for():
    grey = Image.new("L", (3, 2), 77)
    assert one(grey).shape == (1, 2, 3)
    assert (one(grey, channels=3) == 77).all()
    assert one(Image.new("1", (3, 2), 1)).max() == 255
    assert one(Image.new("RGB", (3, 2), RED), channels=1)[0, 0, 0] == 76  # luma of pure red


def test_one_colour_image_makes_all_three_channelled(tmp_path):
    picture(tmp_path / "a.png", 50, mode="L")
    picture(tmp_path / "b.png", RED)
    pixels = read_images(tmp_path, labelled=False).pixels
    assert pixels.shape[1] == 3
    assert (pixels[0] == 50).all()


def test_transparent_pixels_are_white_whatever_lies_beneath():
    for mode, clear in (("RGBA", (10, 20, 30, 0)), ("LA", (10, 0))):
        assert (one(Image.new(mode, (3, 2), clear)) == 255).all()
    half = one(Image.new("RGBA", (3, 2), (0, 0, 0, 128)))
    assert abs(int(half[0, 0, 0]) - 127) <= 1
    palette = Image.new("P", (3, 2), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert one(palette)[:, 0, 0].tolist() == list(RED)
    assert (one(palette, transparency=1) == 255).all()


def test_sixteen_bits_are_scaled_not_cut_off():
    deep = Image.fromarray(np.array([[0, 257 * 100, 65_535]], dtype=np.uint16))
    assert one(deep)[0, 0].tolist() == [0, 100, 255]
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0.5]], dtype=np.float32)).save(buffer, "TIFF")
    assert "floating-point" in decode_images([buffer.getvalue()], ["f"])[2][0]


def test_cameras_orientation_is_respected():
    wide = Image.new("RGB", (40, 20), RED)
    wide.paste(GREEN, (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # held upright: shown turned by 90 degrees
    turned = one(wide, suffix="JPEG", exif=exif, quality=95)
    assert turned.shape == (3, 40, 20)
    assert turned[1, 5, 10] > 200 > 50 > turned[0, 5, 10]  # green is on top


def test_the_first_frame_of_an_animation_counts(tmp_path):
    frames = [Image.new("RGB", (4, 4), c) for c in (RED, GREEN)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (read_images(tmp_path, labelled=False).pixels[0, :, 0, 0] == RED).all()


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "tiff", "webp", "ppm"])
def test_every_format(tmp_path, suffix):
    picture(tmp_path / f"a.{suffix}", (200, 100, 50))
    got = read_images(tmp_path, labelled=False).pixels[0, :, 1, 1].astype(int)
    assert np.abs(got - (200, 100, 50)).max() <= 6


# ------------------------------------------------------------------------------------------- IDX and NPZ


def idx(path, array, compress=False):
    array = np.asarray(array, dtype=np.uint8)
    data = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if compress else data)
    return path


@pytest.mark.parametrize("end", ["", ".gz"])
def test_idx_with_its_labels_beside_it(tmp_path, end):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3))
    file = idx(tmp_path / f"train-images-idx3-ubyte{end}", pixels, bool(end))
    with pytest.raises(DataError, match="put train-labels-idx1-ubyte into"):
        read_images(file)
    idx(tmp_path / "train-labels-idx1-ubyte", [7, 0, 7, 0, 3])
    images = read_images(file)
    np.testing.assert_array_equal(images.pixels[:, 0], pixels)
    assert images.classes == (0, 3, 7)
    assert images.labels.tolist() == [2, 0, 2, 0, 1]
    assert images.names == tuple("01234")
    assert read_images(tmp_path).labels.tolist() == images.labels.tolist()
    assert read_images(file, size=2, channels=3).pixels.shape == (5, 3, 2, 2)


def test_a_folder_of_idx_files_has_a_training_and_a_test_part(tmp_path):
    for part, size in (("train", 4), ("t10k", 2)):
        idx(tmp_path / f"{part}-images.idx3-ubyte", np.zeros((size, 2, 2)))
        idx(tmp_path / f"{part}-labels.idx1-ubyte", np.arange(size) % 2)
    images = read_images(tmp_path)
    assert len(images.pixels) == 4
    assert images.left_out == ("t10k-images.idx3-ubyte",)
    assert len(read_images(tmp_path, part="test").pixels) == 2
    idx(tmp_path / "train2-images-idx3-ubyte", np.zeros((1, 2, 2)))
    with pytest.raises(DataError, match="3 files of images"):
        read_images(tmp_path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no IDX file"),
        (b"\x1f\x8bnot gzip", "cannot be read"),
        (b"\0\0\x0d\x03" + b"\0" * 12, "type 0x0d"),
        (
            b"\0\0\x08\x03" + struct.pack(">3I", 2, 2, 2) + b"1234567",
            "announces 2 x 2 x 2 bytes, but holds 7",
        ),
        (b"\0\0\x08\x03" + struct.pack(">3I", 2**31, 2**31, 2**31), "announces"),
        (b"\0\0\x08\x01" + struct.pack(">I", 2) + b"12", "three dimensions"),
    ],
)
def test_damaged_idx(tmp_path, data, said):
    (tmp_path / "x-images-idx3-ubyte").write_bytes(data)
    with pytest.raises(DataError, match=said):
        read_images(tmp_path / "x-images-idx3-ubyte", labelled=False)


def test_idx_with_too_few_labels(tmp_path):
    idx(tmp_path / "a-images-idx3-ubyte", np.zeros((3, 2, 2)))
    idx(tmp_path / "a-labels-idx1-ubyte", [0, 1])
    with pytest.raises(DataError, match="3 images, but 2 labels"):
        read_images(tmp_path)


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("x", "y"), [("x", "y"), ("images", "labels"), ("X", "y"), ("data", "label"), ("x_train", "y_train")]
)
def test_npz_names(tmp_path, x, y):
    file = npz(tmp_path / "a.npz", **{x: np.zeros((3, 8, 8)), y: np.array([[1], [0], [1]])})
    assert holds_images(file)
    images = read_images(file)
    assert images.pixels.shape == (3, 1, 8, 8)
    assert images.labels.tolist() == [1, 0, 1]


def test_npz_parts_class_names_and_text_labels(tmp_path):
    file = npz(
        tmp_path / "a.npz", x_train=np.zeros((3, 8, 8)), y_train=[0, 2, 2], x_test=np.zeros((1, 8, 8)), y_test=[0],
        class_names=["ant", "bee", "cow"],
    )  # fmt: skip
    images = read_images(file)
    assert images.classes == ("ant", "cow")
    assert images.left_out == ("x_test",)
    assert len(read_images(file, part="test").pixels) == 1
    text = npz(tmp_path / "b.npz", x=np.zeros((2, 8, 8)), y=["b", "a"])
    assert read_images(text).classes == ("a", "b")


def test_npz_layouts_agree():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (4, 3, 8, 9), dtype=np.uint8)
    for given in (
        pixels,
        np.moveaxis(pixels, 1, -1),
        pixels / 255,
        pixels.astype(float),
        pixels.astype(np.int64),
    ):
        np.testing.assert_array_equal(to_pixels(given, "x"), pixels)
    grey = pixels[:, 0]
    for given in (grey, grey[:, None], grey[..., None]):
        np.testing.assert_array_equal(to_pixels(given, "x"), grey[:, None])
    assert to_pixels(np.ones((2, 8, 9), dtype=bool), "x").max() == 255
    clear = np.concatenate([pixels, np.zeros((4, 1, 8, 9), dtype=np.uint8)], axis=1)
    assert (to_pixels(clear, "x") == 255).all()
    solid = np.concatenate([pixels, np.full((4, 1, 8, 9), 255, dtype=np.uint8)], axis=1)
    np.testing.assert_array_equal(to_pixels(solid, "x"), pixels)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((4, 5, 6, 7)), "shape"),
        (np.zeros((4, 5)), "shape"),
        (np.zeros((0, 5, 6)), "shape"),
        (np.full((2, 5, 6), -1.5), "undo the normalisation"),
        (np.full((2, 5, 6), np.nan), "0 to 255"),
        (np.full((2, 5, 6), 256), "0 to 255"),
        (np.full((2, 5, 6), "a"), "numbers"),
    ],
)
def test_arrays_that_are_no_images(array, said):
    with pytest.raises(DataError, match=said):
        to_pixels(array, "x")


def test_jpeg_bytes_in_one_array(tmp_path):
    files = []
    for colour in (RED, GREEN, RED):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), colour).save(buffer, "JPEG", quality=95)
        files.append(buffer.getvalue())
    arrays = {
        "data": np.frombuffer(b"".join(files), dtype=np.uint8), "offsets": np.cumsum([0, *map(len, files)]),
        "label": [0, 1, 0], "is_test": [0, 0, 1], "class_names": ["red", "green"],
    }  # fmt: skip
    file = npz(tmp_path / "a.npz", **arrays)
    assert holds_images(file)
    images = read_images(file)
    assert images.classes == ("red", "green")
    assert images.labels.tolist() == [0, 1]
    assert images.left_out == ("1 image of the other part",)
    assert read_images(file, part="test").names == ("2",)
    assert images.pixels[1, 1].min() > 240
    with pytest.raises(DataError, match="offsets rise"):
        read_images(npz(tmp_path / "b.npz", **arrays | {"offsets": arrays["offsets"][::-1]}))
    with pytest.raises(DataError, match="3 images, but 2 labels"):
        read_images(npz(tmp_path / "c.npz", **arrays | {"label": [0, 1]}))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"pictures": np.zeros((2, 4, 4))}, "images are called"),
        ({"x": np.zeros((2, 4, 4))}, "no labels"),
        ({"x": np.zeros((2, 4, 4)), "y": [0, 1, 1]}, "2 images, but 3 labels"),
        ({"x": np.zeros((2, 4, 4)), "y": [0.5, 1.0]}, "whole numbers or text"),
        ({"x": np.zeros((2, 4, 4)), "y": [0, 5], "class_names": ["a", "b"]}, "names 2 classes"),
    ],
)
def test_unusable_npz(tmp_path, arrays, said):
    with pytest.raises(DataError, match=said):
        read_images(npz(tmp_path / "a.npz", **arrays))


def test_pickles_and_damage_are_refused(tmp_path):
    np.savez(tmp_path / "p.npz", x=np.array([object()]), y=[0])
    with pytest.raises(DataError, match="may run code"):
        read_images(tmp_path / "p.npz")
    data = npz(tmp_path / "a.npz", x=np.zeros((2, 8, 8)), y=[0, 1]).read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="no readable NPZ"):
        read_images(tmp_path / "cut.npz")
    with pytest.raises(DataError, match="unknown format"):
        read_images(picture(tmp_path / "a.png").rename(tmp_path / "a.heic"))
    with pytest.raises(DataError, match="channels must be 1"):
        read_images(tmp_path / "a.npz", channels=2)


def test_what_holds_images_and_what_is_a_table(photos, tmp_path):
    assert holds_images(photos)
    assert holds_images(photos / "cat" / "0.png")
    assert holds_images(tmp_path / "train-images-idx3-ubyte.gz")
    for name in ("a.csv", "missing.npz", "a.parquet", "idx3.csv"):
        assert not holds_images(tmp_path / name)
    assert not holds_images(npz(tmp_path / "table.npz", X=np.zeros((4, 5)), y=np.zeros(4)))
    (tmp_path / "broken.npz").write_bytes(b"x")
    assert not holds_images(tmp_path / "broken.npz")


# ------------------------------------------------------------------------------------------------ pixels


def test_preprocessing_only_scales():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    preprocessor = ImagePreprocessor((1, 16, 16))
    scaled = preprocessor.fit_transform(pixels)
    assert scaled.dtype == np.float32
    assert scaled.max() <= 1
    np.testing.assert_allclose(scaled.reshape(-1), np.arange(256) / 255, rtol=1e-6)
    np.testing.assert_array_equal(preprocessor.transform(pixels), scaled)
    with pytest.raises(DataError, match=r"\(1, 8, 8\), but \(1, 16, 16\)"):
        preprocessor.transform(pixels[:, :, :8, :8])


def test_equal_images_have_equal_hashes_and_others_have_not():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 3, 4, 4), dtype=np.uint8)
    pixels[7] = pixels[3]
    hashes = image_hashes(pixels)
    assert hashes[7] == hashes[3]
    assert len(set(hashes.tolist())) == 49
    np.testing.assert_array_equal(image_hashes(pixels[::2]), hashes[::2])


def test_real_fashion_mnist(real_data):
    images = read_images(real_data / "fashion-mnist", part="test")
    assert images.pixels.shape == (10_000, 1, 28, 28)
    assert np.bincount(images.labels).tolist() == [1000] * 10
    assert images.pixels.mean() == pytest.approx(73.1466, abs=1e-3)  # 0.2868 of 255


def test_more_images_than_memory_are_refused_before_the_machine_swaps(photos, monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 4096 if name == "SC_PAGE_SIZE" else 1)
    with pytest.raises(DataError, match="smaller --image-size"):
        read_images(photos, size=100)
