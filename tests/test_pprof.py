"""The profile reader: real profiles as Go's own pprof prints them, made-up ones to the number, wrong ones refused."""

import gzip
import io
import tracemalloc
import zlib

import pytest
from profiles import HEAP_TYPES, field, profile, varint

import mheaplab as mh
from mheaplab.histograms.pprof import read_pprof, slot_lower, unpacked_bound

# What "go tool pprof -raw" of Go 1.27.3 prints, summed by label: samples do not overlap.
TRUTH = {
    ("go123-tmpl", "allocated"): (50506, 5611840, 32, {8: 8, 16: 26853, 24: 10808, 2048: 240, 1048576: 2}),
    ("go123-tmpl", "in use"): (80, 2389160, 18, {8: 3, 16: 9, 24: 4, 1792: 12, 131072: 2}),
    ("go127-tmpl", "allocated"): (38744, 5394840, 31, {8: 11, 16: 19649, 24: 6008, 4096: 120, 131072: 2}),
    ("go127-tmpl", "in use"): (79, 2390000, 21, {8: 4, 16: 9, 24: 4, 1792: 12, 1048576: 2}),
    ("go127-buffers", "allocated"): (20056, 310115208, 80, {8: 3, 16: 91, 24: 768, 114688: 177, 122880: 202}),
    ("go127-buffers", "in use"): (646, 11551496, 78, {8: 3, 16: 6, 24: 20, 122880: 8, 131072: 5}),
}


def read(data, what="allocated"):
    """Read bytes as a profile."""
    return read_pprof(io.BytesIO(data), len(data), "made.pb", what)


def refusal(data, what="allocated"):
    """Return the message with which bytes are refused."""
    with pytest.raises(mh.FormatError) as err:
        read(data, what)
    assert "made.pb: " in str(err.value)
    return str(err.value)


@pytest.mark.parametrize("name, what", TRUTH)
def test_real_profiles_are_what_pprof_prints(name, what):
    h = mh.read_histogram(mh.data_path(f"histograms/{name}.heap.pb.gz"), what)
    objects, total, n, some = TRUTH[name, what]
    assert (h.objects, h.bytes, len(h)) == (objects, total, n)
    counts = dict(zip(h.sizes.tolist(), h.counts.tolist(), strict=True))
    assert {size: counts[size] for size in some} == some
    assert h.meta.what == what and h.meta.rate == 1 and h.meta.sizes == "slot" and not h.exact
    assert h.meta.kind == "pprof heap profile" and h.noscan is None


def test_an_unpacked_profile_is_the_same(tmp_path):
    path = mh.data_path("histograms/go127-tmpl.heap.pb.gz")
    plain = tmp_path / "heap.pb"
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    assert mh.read_histogram(plain).counts.tolist() == mh.read_histogram(path).counts.tolist()


SAMPLES = [((3, 48, 1, 16), 16), ((2, 96, 0, 0), 48), ((4, 64, 4, 64), 16), ((0, 0, 0, 0), 208), ((0, 0, 0, 0), None)]


@pytest.mark.parametrize("packed", [True, False])
def test_samples_of_one_size_are_added(packed):
    data = profile(SAMPLES, packed=packed)
    h = read(data)
    assert (h.sizes.tolist(), h.counts.tolist(), h.lower.tolist()) == ([16, 48], [7, 2], [9, 33])
    assert read(data, "in use").counts.tolist() == [5]


def test_sampled_profiles_are_estimates():
    h = read(profile([((35000, 560500, 0, 0), 16)], rate=524288))
    assert h.meta.rate == 524288 and h.counts.tolist() == [35000] and not h.exact


def test_without_the_label_sizes_are_averages():
    h = read(profile([((3, 50, 0, 0), None), ((1, 17, 0, 0), None), ((1, 48, 0, 0), 48)]))
    assert (h.sizes.tolist(), h.counts.tolist()) == ([17, 48], [4, 1])
    assert h.meta.sizes == "average" and h.lower is None


def test_other_orders_and_unknown_fields():
    data = profile(SAMPLES)
    more = field(2, field(2, varint(5) + varint(80) + varint(0) + varint(0)) + field(3, field(3, 16) + field(1, 2)))
    odd = varint(8 * 100 + 1) + b"12345678" + varint(8 * 101 + 5) + b"1234" + field(102, 5)
    assert read(odd + data + more + odd).counts.tolist() == [12, 2]


def test_no_objects_is_an_answer():
    h = read(profile([]))
    assert (h.objects, h.bytes, len(h)) == (0, 0, 0)


def test_types_may_stand_in_any_order():
    h = read(profile([((16, 1), 16)], types=HEAP_TYPES[1::-1]))
    assert (h.sizes.tolist(), h.counts.tolist()) == ([16], [1])
    assert "no value of type inuse_objects" in refusal(profile([((16, 1), 16)], types=HEAP_TYPES[1::-1]), "in use")


def one(values=(1, 16, 0, 0), size=16, **more):
    """Return a profile of one sample."""
    return profile([(values, size)], **more)


@pytest.mark.parametrize(
    "data, words",
    [
        (profile([((1, 9), None)], types=(("samples", "count"), ("cpu", "nanoseconds"))), "expected a heap profile"),
        (one((-3, -48, 0, 0)), "a sample of -3 objects, expected 0 to 2**53: this is the difference of two profiles"),
        (one((1 << 54, 0, 0, 0)), "expected 0 to 2**53"),
        (one((1, 16, 0)), "a sample of 3 values, expected 4"),
        (one((1, 16, 0, 0, 5)), "more than 4 numbers"),
        (one((1, 16, 0, 0, 5), packed=False), "more than 4 numbers"),
        (one((2, 33, 0, 0)), "2 objects of 16 bytes in 33 bytes, expected 32"),
        (one((2, 32, 0, 0), size=0), "objects of 0 bytes, expected 1 to 2**47"),
        (one(size=(1 << 47) + 1), "expected 1 to 2**47"),
        (one(unit="kilobytes"), "another unit"),
        (one((5, 0, 0, 0), size=None), "5 objects without a size"),
        (one(rate=-1), "a sample every -1 bytes"),
        (one(types=((("alloc_objects", "bytes"), *HEAP_TYPES[1:]))), "alloc_objects is not counted in count"),
        (one() + field(6, b"bytes"), "the text 'bytes' for the second time"),
        (field(6, b"x") + one(), "the first text is not empty"),
        (one() + field(1, field(1, 1)) * 61, "more than 64 types"),
        (one() + field(11, field(1, 77)), "text 77 is named, but the table has"),
        (one() + field(2, field(2, bytes([1, 16, 0, 0])) + field(3, field(1, 77))), "a label names a text"),
        (one() + field(2, field(2, bytes([1, 16, 0, 0])) + field(3, field(1, 2) + field(3, 16)) * 2), ""),
        (one() + field(2, 7), "field 2 has wire type 0, expected 2"),
        (one() + field(12, b"1"), "field 12 has wire type 2, expected 0"),
        (one() + b"\x0b", "wire type 3, expected 0, 1, 2 or 5"),
        (one() + b"\x07", "field 0, expected 1 to"),
        (one() + b"\x60" + b"\xff" * 10, "a number of more than 10 bytes"),
        (one() + b"\x60" + b"\xff" * 9 + b"\x02", "a number of more than 64 bits"),
        (one()[:-1], "ends within a number"),
        (one() + b"\x12\x05ab", "field 2 of 5 bytes, but only 2 are left"),
        (one() + b"\x61abc", "field 12 of 8 bytes, but only 3 are left"),
    ],
)  # fmt: skip
def test_wrong_profiles_are_refused(data, words):
    if words:
        assert words in refusal(data)
    else:  # the same label twice, with the same size, is no contradiction
        assert read(data).counts.tolist() == [2]


def test_two_sizes_in_a_sample_are_refused():
    both = field(3, field(1, 2) + field(3, 16)) + field(3, field(1, 2) + field(3, 32))
    assert "a sample of 16 and of 32 bytes" in refusal(one() + field(2, field(2, bytes([1, 16, 0, 0])) + both))


def test_every_cut_is_refused_or_ends_between_fields():
    data = profile(SAMPLES)
    for stop in range(len(data)):
        try:
            found = read(data[:stop])
        except mh.FormatError:
            continue
        assert found.counts.tolist() == [7, 2]  # only what follows the texts may be missing
        assert stop > data.index(b"inuse_space")


def test_a_cut_or_spoiled_gzip_file_is_refused():
    data = gzip.compress(profile(SAMPLES), mtime=0)
    assert read(data).objects == 9
    for stop in range(2, len(data)):
        assert "not a whole gzip file" in refusal(data[:stop])
    spoiled = bytearray(data)
    spoiled[-6] ^= 1
    assert "CRC" in refusal(bytes(spoiled))


def test_what_unpacks_to_too_much_is_refused_in_little_memory():
    bomb = gzip.compress(profile(SAMPLES) + field(6, b"") * (32 << 20), mtime=0)
    tracemalloc.start()
    try:
        assert "unpacks to more than" in refusal(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * len(bomb) + 100e6 and peak < 20e6


def test_the_bound_leaves_room_for_real_profiles():
    for path in mh.data_path("histograms").glob("*.pb.gz"):
        data = path.read_bytes()
        assert 8 * len(zlib.decompress(data, 31)) < unpacked_bound(len(data))
    assert all(unpacked_bound(n) <= 10 * n + 100e6 for n in (0, 1000, 10**6, 10**7, 10**9))


def test_slots_are_size_classes_or_whole_pages():
    assert slot_lower([8, 16, 48, 32768, 40960, 81920]).tolist() == [1, 9, 33, 28673, 32769, 73729]
    assert slot_lower([8, 17]) is None and slot_lower([40000]) is None
