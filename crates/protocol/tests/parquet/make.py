"""Writes the files of this folder by pyarrow, and those that lie by hand. Run it by MLflow's Python:
`"$BOTTEGA_MLFLOW3" crates/protocol/tests/parquet/make.py`."""

import pathlib
import struct

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent
ROWS = 40


def table(**others):
    columns = {
        "count": pa.array([(at * 7919) % 101 - 50 for at in range(ROWS)], pa.int64()),
        "small": pa.array([at % 7 for at in range(ROWS)], pa.uint8()),
        "rate": pa.array([None if at % 5 == 3 else at / 8 for at in range(ROWS)], pa.float64()),
        "city": pa.array([["Köln", "", "Oslo"][at % 3] for at in range(ROWS)], pa.string()),
        "open": pa.array([at % 3 == 0 for at in range(ROWS)], pa.bool_()),
        "pair": pa.array([[at, -at / 2] for at in range(ROWS)], pa.list_(pa.float32())),
        "grid": pa.array([[[at, 1], [2, 3]] for at in range(ROWS)], pa.list_(pa.list_(pa.int32()))),
    }
    columns.update(others)
    return pa.table({name: values for name, values in columns.items() if values is not None})


def write(name, table, **options):
    pq.write_table(table, HERE / f"{name}.parquet", **options)


def good():
    for codec in ["none", "snappy", "gzip", "zstd", "lz4"]:
        write(f"ok-{codec}", table(), compression=codec)
    write("ok-plain", table(), compression="none", use_dictionary=False)
    write("ok-pages-of-version-2", table(), data_page_version="2.0", compression="snappy", version="2.6",
          column_encoding={"open": "RLE", "count": "PLAIN", "small": "PLAIN", "rate": "PLAIN", "city": "PLAIN",
                           "pair.list.element": "PLAIN", "grid.list.element.list.element": "PLAIN"}, use_dictionary=False)
    write("ok-groups", table(), row_group_size=7)
    write("ok-small-pages", table(), data_page_size=16, write_batch_size=3)
    write("ok-without-nulls", table(pair=pa.array([[at, -at / 2] for at in range(ROWS)], pa.list_(pa.field("x", pa.float32(), nullable=False)))))
    write("ok-half-and-fixed", table(pair=pa.array([[at, -at / 2] for at in range(ROWS)], pa.list_(pa.float16(), 2))))
    write("ok-old", table(), version="1.0", use_deprecated_int96_timestamps=True, use_compliant_nested_type=False)
    frame = table().to_pandas()
    frame.index = pd.date_range("2020-01-01", periods=ROWS, name="when")
    frame.to_parquet(HERE / "ok-index.parquet")


def not_taken():
    for encoding, column in [("DELTA_BINARY_PACKED", "count"), ("DELTA_BYTE_ARRAY", "city"), ("BYTE_STREAM_SPLIT", "rate")]:
        write(f"bad-{encoding.lower().replace('_', '-')}", table(), use_dictionary=False, column_encoding={column: encoding})
    write("bad-brotli", table(), compression="brotli")
    write("bad-struct", table(count=pa.array([{"a": 1, "b": 2}] * ROWS)))
    write("bad-struct-of-one", table(count=pa.array([{"a": 1}] * ROWS)))
    write("bad-map", table(pair=pa.array([[("a", 1.0)]] * ROWS, pa.map_(pa.string(), pa.float32()))))
    write("bad-time", table(count=pa.array([0] * ROWS, pa.timestamp("us"))))
    write("bad-decimal", table(rate=pa.array([1] * ROWS, pa.decimal128(9, 2))))
    write("bad-null-count", table(count=pa.array([None, 1] * (ROWS // 2), pa.int64())))
    write("bad-null-text", table(city=pa.array([None, "a"] * (ROWS // 2))))
    write("bad-null-list", table(pair=pa.array([None, [1, 2]] * (ROWS // 2), pa.list_(pa.float32()))))
    write("bad-bytes", table(city=pa.array([b"\xff"] * ROWS)))
    write("bad-ragged", table(pair=pa.array([[1.0], [1.0, 2.0]] * (ROWS // 2), pa.list_(pa.float32()))))
    write("bad-overflow", table(small=pa.array([256] * ROWS, pa.int64())))
    write("bad-float-for-count", table(count=pa.array([0.5] * ROWS)))
    write("bad-missing", table(city=None))
    write("bad-extra", table(more=pa.array([1] * ROWS)))
    write("bad-empty", table().slice(0, 0))
    columns = table()
    twice = pa.Table.from_arrays([*columns.columns, columns["city"]], [*columns.column_names, "city"])
    write("bad-twice", twice)


def bombs():
    count = 200_000
    write("large-nulls", pa.table({"rate": pa.array([None] * count, pa.float64())}), row_group_size=count)
    write("large-same", pa.table({"city": pa.array(["x" * 1000] * count)}), row_group_size=count)
    write("large-zeros", pa.table({"rate": pa.array([0.0] * count)}), use_dictionary=False, compression="zstd", data_page_size=1 << 22)
    write("large-zeros-gzip", pa.table({"rate": pa.array([0.0] * count)}), use_dictionary=False, compression="gzip", data_page_size=1 << 22)
    write("large-lists", pa.table({"pair": pa.array([[]] * count, pa.list_(pa.float32()))}), row_group_size=count)


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def file(name, footer, pages=b""):
    body = b"PAR1" + pages + footer + struct.pack("<I", len(footer)) + b"PAR1"
    (HERE / f"{name}.parquet").write_bytes(body)


def lies():
    # FileMetaData: field 2, the schema, is a list of structs; field 4 of groups of rows.
    file("bad-schema-of-a-billion", b"\x29\xfc" + varint(1 << 30) + b"\x00" * 64)
    file("bad-groups-of-a-billion", b"\x29\x1c\x48\x01a\x00\x29\xfc" + varint(1 << 30) + b"\x00" * 64)
    node = b"\x48\x01a\x15\x02\x00"
    file("bad-deep-schema", b"\x29\xfc" + varint(1_000) + node * 1_000)
    file("bad-deep-unknown", b"\x9c" * 10_000)
    file("bad-no-schema", b"\x00")
    root, leaf = b"\x48\x01r\x15\x02\x00", b"\x15\x0a\x25\x00\x18\x04rate\x00"
    schema = b"\x29\x2c" + root + leaf

    def chunk(values, length, at):
        meta = b"\x15\x0a\x35\x00\x16" + varint(2 * values) + b"\x26" + varint(2 * length) + b"\x26" + varint(2 * at) + b"\x00"
        return b"\x3c" + meta + b"\x00"

    def footer(*chunks):
        group = b"\x19" + bytes([len(chunks) << 4 | 12]) + b"".join(chunks) + b"\x00"
        return schema + b"\x29\x1c" + group + b"\x00"

    def page(plain, packed, count):
        head = b"\x15\x00\x15" + varint(2 * plain) + b"\x15" + varint(2 * packed)
        return head + b"\x2c\x15" + varint(2 * count) + b"\x15\x00\x00\x00"

    values = struct.pack("<3d", 1, 2, 3)
    for name, data, entry in [
        ("ok-bare", page(24, 24, 3) + values, lambda data: chunk(3, len(data), 4)),
        ("bad-cut", page(24, 24, 3) + values[:-1], lambda data: chunk(3, len(data), 4)),
        ("bad-count", page(24, 24, 4) + values, lambda data: chunk(4, len(data), 4)),
        ("large-count", page(24, 24, 1 << 30) + values, lambda data: chunk(1 << 30, len(data), 4)),
        ("large-plain-size", page(1 << 30, 24, 3) + values, lambda data: chunk(3, len(data), 4)),
        ("bad-packed-size", page(24, 1 << 30, 3) + values, lambda data: chunk(3, len(data), 4)),
        ("bad-outside", page(24, 24, 3) + values, lambda data: chunk(3, len(data), 5)),
        ("bad-far-outside", page(24, 24, 3) + values, lambda data: chunk(3, len(data), 1 << 62)),
        ("bad-values-of-a-billion", page(24, 24, 3) + values, lambda data: chunk(1 << 30, len(data), 4)),
        ("bad-nothing", b"", lambda data: chunk(1, 0, 4)),
    ]:
        file(name, footer(entry(data)), data)
    data = page(24, 24, 3) + values
    file("bad-two-chunks", footer(*[chunk(3, len(data), 4)] * 2), data)
    (HERE / "bad-only-magic.parquet").write_bytes(b"PAR1PAR1")
    (HERE / "bad-short.parquet").write_bytes(b"PAR1")
    (HERE / "bad-encrypted.parquet").write_bytes(b"PARE" + b"\x00" * 8 + b"PARE")
    (HERE / "bad-footer-of-four-gigabytes.parquet").write_bytes(b"PAR1" + b"\xff" * 4 + b"PAR1")
    (HERE / "bad-nothing-at-all.parquet").write_bytes(b"")
    # Many chunks that all are the same pages.
    group = b"\x19\x1c" + chunk(3, len(data), 4) + b"\x00"
    file("large-same-pages", schema + b"\x29\xfc" + varint(2_000) + group * 2_000 + b"\x00", data)


good()
not_taken()
bombs()
lies()
