"""Small files that stand for much memory are refused before they take it."""

import bz2
import gzip
import io
import lzma
import os
import struct
import zipfile
import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

from metabalance.data import DataError, limits, read_table
from metabalance.data.images import read_images
from metabalance.data.limits import (
    byte_limit,
    check_npz,
    check_size,
    machine_memory,
    parse_json,
    read_file,
    read_limited,
)

MILLION = 1_000_000
REFUSED = (
    r"would take at least .* of memory, more than the limit of 1,000,000 bytes; .* METABALANCE_MAX_BYTES"
)


@pytest.fixture
def limited(monkeypatch):
    monkeypatch.setenv("METABALANCE_MAX_BYTES", str(MILLION))


def test_the_limit_is_half_of_the_memory_or_what_is_given(monkeypatch):
    monkeypatch.delenv("METABALANCE_MAX_BYTES", raising=False)
    assert byte_limit() == machine_memory() // 2
    monkeypatch.setattr(limits, "machine_memory", lambda: None)
    assert byte_limit() is None
    check_size(10**18, "all of it")  # nobody knows
    monkeypatch.setenv("METABALANCE_MAX_BYTES", "5")
    check_size(5, "it")
    with pytest.raises(DataError, match="it would take at least 6 bytes of memory, more than the limit of 5"):
        check_size(6, "it")


@pytest.mark.parametrize("given", ["x", "-1", "0", "1e9", "8GB", "\u0663"])
def test_a_limit_that_is_none(monkeypatch, given):
    monkeypatch.setenv("METABALANCE_MAX_BYTES", given)
    with pytest.raises(DataError, match=r"METABALANCE_MAX_BYTES=.* is no size"):
        byte_limit()


def test_a_containers_limit_counts(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("4096\n")
    monkeypatch.setattr(limits, "_CONTAINER", (str(tmp_path / "memory.max"), str(tmp_path / "none")))
    assert machine_memory() == 4096
    (tmp_path / "memory.max").write_text("max\n")
    assert machine_memory() > 4096


def test_a_stream_is_read_no_further_than_the_limit(limited):
    class Endless:
        given = 0

        def read(self, size):
            self.given += size
            return b"\0" * size

    stream = Endless()
    with pytest.raises(DataError, match=REFUSED):
        read_limited(stream, "it")
    assert stream.given <= 2 * limits.CHUNK
    assert read_limited(io.BytesIO(b"abc"), "it") == b"abc"


def test_files_are_measured_first(limited, tmp_path):
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.truncate(10**12)  # sparse
    with pytest.raises(DataError, match=r"a would take at least 1,000\.0 GB"):
        read_file(path)
    path.write_bytes(b"abc")
    assert read_file(path) == b"abc"


BOMB = b"a,b\n" + b"1,2\n" * MILLION


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2", ".zst"])
def test_compressed_tables(limited, tmp_path, suffix):
    pack = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}.get(suffix)
    if suffix == ".zst":
        pack = pytest.importorskip("zstandard").ZstdCompressor().compress
    path = tmp_path / f"t.csv{suffix}"
    path.write_bytes(pack(BOMB))
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match=f"the content of t.csv{suffix} {REFUSED}"):
        read_table(path)


def npz(path, names=("X", "y"), shape=(10**6, 10**6), content=b""):
    """Arrays whose headers promise more than follows."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(f"{name}.npy", header.getvalue() + content)
    return path


def test_arrays_that_claim_more_than_they_hold(tmp_path):
    with pytest.raises(
        DataError, match=r"t\.npz is damaged: the array 'X' claims 8,000\.0 GB, but holds 128 bytes"
    ):
        read_table(npz(tmp_path / "t.npz"))
    with pytest.raises(DataError, match=r"i\.npz is damaged: the array 'x' claims"):
        read_images(npz(tmp_path / "i.npz", ("x", "y"), (10**6, 1000, 1000)))


def test_arrays_that_are_compressed_well(limited, tmp_path):
    np.savez_compressed(tmp_path / "t.npz", X=np.zeros((MILLION, 2)), y=np.zeros(MILLION))
    with pytest.raises(DataError, match=REFUSED):
        read_table(tmp_path / "t.npz")
    np.savez_compressed(tmp_path / "i.npz", x=np.zeros((2000, 28, 28)), y=np.zeros(2000))
    with pytest.raises(DataError, match=REFUSED):
        read_images(tmp_path / "i.npz")


def test_arrays_that_are_not_read_do_not_count(limited, tmp_path):
    np.savez_compressed(tmp_path / "t.npz", X=np.zeros((4, 2)), y=[0, 1, 0, 1], other=np.zeros(MILLION))
    assert len(read_table(tmp_path / "t.npz")) == 4
    with (tmp_path / "t.npz").open("rb") as file, pytest.raises(DataError, match=REFUSED):
        check_npz(file, "t.npz")


def test_a_column_that_is_one_value_over_and_over(limited, tmp_path):
    table = pa.table({"a": np.zeros(MILLION), "b": np.zeros(MILLION, dtype="int8")})
    pa.parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(DataError, match=rf"the table in t\.parquet {REFUSED}"):
        read_table(tmp_path / "t.parquet")
    small = pa.record_batch({"a": np.zeros(100_000), "b": np.zeros(100_000)})
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as sink, pa.ipc.new_file(sink, small.schema) as writer:
        for _ in range(50):
            writer.write_batch(small)
    with pytest.raises(DataError, match=REFUSED):
        read_table(tmp_path / "t.arrow")


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_pictures_that_claim_to_be_enormous(tmp_path):
    from PIL import Image

    for label in "ab":
        (tmp_path / "x" / label).mkdir(parents=True)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * MILLION)) + chunk(b"IEND", b"")
    (tmp_path / "x" / "a" / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + body)
    Image.new("1", (20_000, 20_000)).save(tmp_path / "x" / "b" / "bomb.tif", compression="group4")
    assert (tmp_path / "x" / "b" / "bomb.tif").stat().st_size < 100_000
    with pytest.raises(DataError, match=r"2 of 2 files cannot be read as images: .*too large"):
        read_images(tmp_path / "x", size=8)


def test_many_pictures_that_are_large(limited, tmp_path):
    from PIL import Image

    for i in range(40):
        (tmp_path / "x" / str(i % 2)).mkdir(parents=True, exist_ok=True)
        Image.new("L", (300, 300)).save(tmp_path / "x" / str(i % 2) / f"{i}.png")
    with pytest.raises(DataError, match=r"images.* would take at least"):
        read_images(tmp_path / "x")
    assert len(read_images(tmp_path / "x", size=8).pixels) == 40


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_that_claim_a_trillion(limited, tmp_path, packed):
    data = b"\0\0\x08\x03" + struct.pack(">III", 10**6, 10**3, 10**3)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(data + bytes(10 * MILLION)) if packed else data)
    with pytest.raises(DataError, match=REFUSED if packed else "announces 1000000 x 1000 x 1000 bytes"):
        read_images(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_among_pictures_is_not_waited_for(tmp_path):
    for label in "ab":
        (tmp_path / "x" / label).mkdir(parents=True)
        os.mkfifo(tmp_path / "x" / label / "p.png")
    with pytest.raises(DataError, match="no plain file"):
        read_images(tmp_path / "x", size=8)


def test_deep_json():
    assert parse_json("[[1]]") == [[1]]
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json('{"a":' * 100_000)


def test_ordinary_tables_are_not_in_the_way(tmp_path):
    frame = pd.DataFrame({"a": range(1000), "b": ["x"] * 1000})
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_feather(tmp_path / "t.feather")
    assert read_table(tmp_path / "t.parquet").equals(read_table(tmp_path / "t.feather"))
