"""Words keep their codes, and dictionaries hold each word once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from pipeline.core import words as words_module
from pipeline.core.facts import sequences as sequences_module
from pipeline.core.facts.sequences import Met, Sequences, masked, number, walked
from pipeline.core.words import KINDS, Names, Words, name


@njit
def _name_all(names: Names, kind: int, codes, out) -> None:  # type: ignore[no-untyped-def]
    for r in range(codes.shape[0]):
        out[r] = name(names.number, names.word, names.used, kind, codes[r])


@njit
def _number_all(met: Met, bits, journeys, out) -> None:  # type: ignore[no-untyped-def]
    for r in range(bits.shape[0]):
        out[r] = number(met.places, met.bits, met.journey, met.used, bits[r], journeys[r])


@given(st.lists(st.lists(st.text())))
def test_a_word_keeps_its_code(batches: list[list[str]]) -> None:
    words = Words()
    for batch in batches:
        assert [words.known[code] for code in words.codes(batch).tolist()] == batch
    assert len(set(words.known)) == len(words.known)
    again = Words(words.known)
    for batch in batches:
        assert again.codes(batch).tolist() == words.codes(batch).tolist()
    data, offsets = words.utf8()
    assert [bytes(data[a:b]).decode() for a, b in pairwise(offsets)] == words.known


def test_code_0_is_the_empty_word() -> None:
    assert Words().codes([""]).tolist() == [0]
    with pytest.raises(AssertionError):
        Words(["a"])


@pytest.mark.parametrize("named_max", [2, 256])
@given(st.lists(st.tuples(st.integers(0, len(KINDS) - 1), st.lists(st.text(max_size=3)))))
def test_dictionaries_name_what_was_met(named_max: int, batches: list[tuple[int, list[str]]]) -> None:
    words = Words()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words_module, "NAMED_MAX", named_max)
        for kind, batch in batches:
            codes = words.codes(batch)
            numbers = np.empty(len(codes), np.int32)
            _name_all(words.naming.open(), kind, codes, numbers)
            dictionary = words.naming.arrays()[KINDS[kind]].to_pylist()
            assert dictionary[0] == ""
            assert len(set(dictionary)) == len(dictionary), "ClickHouse refuses a word twice"
            assert [dictionary[k] for k in numbers.tolist()] == batch
            assert len(dictionary) <= named_max + 1 + len(batch)


def test_a_dictionary_stays_the_same_array_while_nothing_is_new() -> None:
    words = Words()
    codes, numbers = words.codes(["a", "b"]), np.empty(2, np.int32)
    _name_all(words.naming.open(), 1, codes, numbers)
    first = words.naming.arrays()[KINDS[1]]
    _name_all(words.naming.open(), 1, codes[::-1].copy(), numbers)
    assert words.naming.arrays()[KINDS[1]] is first


NAMES = [["", "view", "cart", "order"] + [""] * 12, ["", "view", "buy", "order"] + [""] * 12]


@pytest.mark.parametrize("kept_max", [1, 256])
@given(st.lists(st.lists(st.tuples(st.lists(st.integers(1, 3), max_size=4), st.integers(0, 1)))))
def test_paths_are_spelled_out_once(kept_max: int, batches: list[list[tuple[list[int], int]]]) -> None:
    paths = Sequences(NAMES, walked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequences_module, "KEPT_MAX", kept_max)
        for batch in batches:
            bits = np.array(
                [sum(rank << 4 * k for k, rank in enumerate(ranks)) for ranks, _ in batch], np.uint64
            )
            codes = np.empty(len(batch), np.int32)
            _number_all(paths.open(len(batch)), bits, np.array([j for _, j in batch], np.int32), codes)
            dictionary = paths.array(codes).to_pylist()
            assert len(set(dictionary)) == len(dictionary)
            wanted = [">".join(NAMES[journey][rank] for rank in ranks) for ranks, journey in batch]
            assert [dictionary[code] for code in codes.tolist()] == wanted


def test_more_sequences_than_there_is_room_for_begin_anew() -> None:
    paths = Sequences(NAMES, walked)
    for first in range(0, 30_000, 10_000):
        bits = np.arange(first, first + 10_000, dtype=np.uint64) * np.uint64(16) + np.uint64(1)
        codes = np.empty(len(bits), np.int32)
        _number_all(paths.open(len(bits)), bits & np.uint64(0x3333), np.zeros(len(bits), np.int32), codes)
        dictionary = paths.array(codes).to_pylist()
        steps = (int(bits[77]) & 0x3333) >> np.arange(0, 16, 4) & 15
        assert dictionary[codes[77]] == ">".join(NAMES[0][rank] for rank in steps if rank)


def test_bits_are_ranks() -> None:
    assert walked(0x0321) == [1, 2, 3]
    assert masked(0b1010) == [1, 3]
    assert walked(0) == masked(0) == []
