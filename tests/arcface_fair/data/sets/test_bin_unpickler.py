# SPDX-License-Identifier: MIT
from __future__ import annotations

import builtins
import collections
import os
import pickle
import struct

import numpy as np
import pytest

from arcface_fair.data.sets.bin_unpickler import load_plain
from arcface_fair.errors import UserError

REFUSAL = "the set holds .+; a verification set holds bytes, .+ so nothing of it was run: get"


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_come_back_from_every_protocol(protocol):
    value = [[b"a\xff", b""], [True, np.bool_(False), np.int64(3)], np.arange(6.0).reshape(2, 3)]
    got = load_plain(pickle.dumps(value, protocol), "the set")
    assert got[:2] == value[:2]
    assert np.array_equal(got[2], value[2])


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["u1", "?", ">i4", "f2", "f8"])
def test_arrays_keep_type_shape_and_order(protocol, dtype):
    array = np.arange(12).reshape(3, 4).astype(dtype)
    for value in (array, np.asfortranarray(array), array[:, 0], array[:0]):
        got = load_plain(pickle.dumps([value], protocol), "the set")[0]
        assert got.dtype == value.dtype
        assert np.array_equal(got, value)


def test_strings_of_python_2_come_as_bytes():
    # Written by Python 2.7: cPickle.dumps((['\xff\xd8', 'b'], [True]), 2) and protocol 0.
    assert load_plain(b"\x80\x02]q\x01(U\x02\xff\xd8q\x02U\x01be]q\x03\x88a\x86q\x04.", "it") == [
        [b"\xff\xd8", b"b"],
        [True],
    ]
    text = b"((lp1\nS'\\xff\\xd8'\np2\naS'b'\na(lp3\nI01\natp4\n."
    assert load_plain(text, "it") == [[b"\xff\xd8", b"b"], [True]]


def test_an_array_of_python_2_is_read():
    text = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b"
        b"\x87Rq\x03(K\x01K\x03\x85cnumpy\ndtype\nq\x04U\x02u1K\x00K\x01\x87Rq\x05(K\x03U\x01|NNNJ"
        b"\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x03\x01\x02\xfftb."
    )
    assert load_plain(text, "it").tolist() == [1, 2, 255]


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.mkdir, ("made",)),
        (builtins.eval, ("__import__('os').mkdir('made')",)),
        (builtins.getattr, (os, "mkdir")),
        (collections.OrderedDict, ()),
        (np.load, ("x.npy",)),
        (np.array, ([1],)),
    ],
    ids=["mkdir", "eval", "getattr", "OrderedDict", "load", "array"],
)
def test_a_call_is_refused_and_not_made(function, arguments, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = tuple(a for a in arguments if a is not os)
    data = pickle.dumps([Calls(function, *arguments)], protocol)
    with pytest.raises(UserError, match=REFUSAL):
        load_plain(data, "the set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nmkdir\n(S'made'\ntR.",
        b"(S'made'\nios\nmkdir\n.",
        b"\x80\x02(cos\nmkdir\nU\x04madeo.",
        b"\x80\x02cos\nmkdir\nU\x04made\x85\x81.",
        b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c\x04made\x85R.",
        b"\x80\x02\x82\x01.",
        b"Pname\n.",
        b"}.",
        b"cbuiltins\nbytes.fromhex\n.",
        b"cnumpy\nndarray.tofile\n.",
    ],
    ids=["REDUCE", "INST", "OBJ", "NEWOBJ", "STACK", "EXT", "PERSID", "DICT", "dots", "method"],
)
def test_no_operation_reaches_a_function(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"so nothing of it was run|is no complete pickle"):
        load_plain(data, "the set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "value",
    [
        np.array([b"a", None], object),
        np.array(["text"]),
        np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
        np.datetime64("2020-01-01"),
        np.array([1j]),
    ],
    ids=["objects", "text", "fields", "time", "complex"],
)
def test_arrays_of_anything_but_numbers_are_refused(value):
    for protocol in range(6):
        with pytest.raises(UserError, match=REFUSAL):
            load_plain(pickle.dumps([value], protocol), "the set")


RECONSTRUCT = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
BYTE = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"


@pytest.mark.parametrize(
    "state",
    [
        b"(K\x01K\x09\x85" + BYTE + b"\x89U\x03abctb.",  # nine numbers in three bytes
        b"(K\x01J\xff\xff\xff\xff\x85" + BYTE + b"\x89U\x03abctb.",  # a negative size
        b"(K\x01K\x03\x85" + BYTE + b"\x89]tb.",  # a list for data
        b"(K\x01K\x03\x85N\x89U\x03abctb.",  # no type
        b"(K\x01]" + BYTE + b"\x89U\x03abctb.",  # a list for shape
        b"K\x01b.",  # no state
        b".",  # never filled
    ],
)
def test_an_array_whose_parts_do_not_fit_is_refused(state):
    with pytest.raises(UserError, match=REFUSAL):
        load_plain(RECONSTRUCT + state, "the set")


def test_a_type_without_byte_order_is_refused():
    with pytest.raises(UserError, match="an array type without byte order"):
        load_plain(b"\x80\x02" + BYTE + b"K\x01b.", "the set")


def test_bytes_from_numbers_and_other_encodings_are_refused():
    with pytest.raises(UserError, match="bytes made from something else"):
        load_plain(b"\x80\x02c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R.", "the set")
    with pytest.raises(UserError, match="an encoding other than latin1"):
        load_plain(b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aU\x03hex\x86R.", "the set")
    with pytest.raises(UserError, match="a state for something that has none"):
        load_plain(b"\x80\x02]K\x01b.", "the set")
    with pytest.raises(UserError, match="a call of something that is no function"):
        load_plain(b"\x80\x02]K\x01\x85R.", "the set")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no pickle",
        b"\x80\x04]",
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 50) + b"x.",
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 50) + b"x.",
        b"\x80\x04]r\xff\xff\xff\xff",
    ],
)
def test_bytes_that_are_no_pickle_are_refused_without_taking_memory(data):
    with pytest.raises(UserError, match=r"the set is no complete pickle \(.+\); it is cut or"):
        load_plain(data, "the set")


def test_one_text_encoded_often_is_one_object():
    data = b"\x80\x02](c_codecs\nencode\nq\x00X\x02\x00\x00\x00abq\x01U\x06latin1\x86R"
    data += b"h\x00h\x01U\x06latin1\x86Re."
    first, second = load_plain(data, "the set")
    assert first == b"ab"
    assert first is second


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_pickles_are_read_or_refused(count):
    rng = np.random.default_rng(3)
    value = ([b"abc" * 9, np.arange(30, dtype=np.uint8)] * 3, [True, False, np.bool_(True)])
    originals = [pickle.dumps(value, protocol) for protocol in range(6)]
    clean = refused = 0
    for number in range(count):
        data = bytearray(originals[number % 6])
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        try:
            load_plain(bytes(data), "the set")
            clean += 1
        except UserError:
            refused += 1
    assert min(clean, refused) > count / 20
