"""What a word, a hash and a storable text are."""

from __future__ import annotations

import hashlib
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madetl.text import agreeing, count_words, counted, instruction_hash, name_key, storable, text_hash


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        (" \n\t", 0),
        ("…!?-_", 0),
        ("one", 1),
        ("It's 3.5 o'clock", 6),  # It, s, 3, 5, o, clock
        ("snake_case two-part", 4),
        ("你好，世界", 4),
        ("GPT-4 是模型", 5),  # GPT, 4 and three characters
        ("こんにちは", 5),
        ("สวัสดี", 4),  # four consonants; vowel signs and tones belong to them
        ("नमस्ते दुनिया", 2),
        ("Wie schön, Straße", 3),
        ("한국어 단어", 2),
        ("e\u0301te\u0301", 1),  # été, decomposed
    ],
)
def test_words(text: str, words: int) -> None:
    assert count_words(text) == words


@settings(deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_words_of_ascii_text_are_runs_of_letters_and_digits(text: str) -> None:
    assert count_words(text) == len(re.findall(r"[A-Za-z0-9]+", text))


_MIXED_TEXT = st.text(
    st.characters(max_codepoint=0x3FF, exclude_categories=["Cn"]) | st.sampled_from("aé9 _-模ไก่かक्षा\u0301\u3000\u0085")
)


@settings(deadline=None)
@given(_MIXED_TEXT)
def test_words_are_counted_as_a_walk_over_the_characters_counts_them(text: str) -> None:
    words, inside = 0, False
    for character in text:
        letter = character.isalnum()
        alone = letter and _is_spaceless(character)
        mark = unicodedata.category(character).startswith("M") and character <= "\uffff"
        words += alone or (letter and not inside)
        inside = not alone and (letter or (inside and mark))
    assert count_words(text) == words


def _is_spaceless(character: str) -> bool:
    name = unicodedata.name(character, "")
    return name.startswith(("CJK UNIFIED", "CJK COMPAT", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "THAI"))


@settings(deadline=None)
@given(st.text(), st.text())
def test_words_add_up_across_a_space(one: str, other: str) -> None:
    # A mark at the start of the second text has no letter before it, and is no word either way.
    assert count_words(f"{one} {other}") == count_words(one) + count_words(other)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cn"])))  # Cn: ideographs that Python does not know yet
def test_words_are_at_most_the_letters_and_digits(text: str) -> None:
    assert count_words(text) <= sum(unicodedata.category(character)[0] in "LN" for character in text)


def test_a_hash_is_that_of_the_exact_text() -> None:
    assert text_hash("né ") == hashlib.sha256("né ".encode()).hexdigest()
    assert len({text_hash("a"), text_hash("a "), text_hash("A"), text_hash("a\r\n"), text_hash("a\n")}) == 5


@settings(deadline=None)
@given(st.text(), st.text(), st.text(), st.text())
def test_two_instructions_share_a_hash_only_if_they_are_equal(a: str, a_input: str, b: str, b_input: str) -> None:
    texts = [storable(text)[0] for text in (a, a_input, b, b_input)]
    same = instruction_hash(texts[0], texts[1]) == instruction_hash(texts[2], texts[3])
    assert same == (texts[:2] == texts[2:])


def test_an_input_never_passes_for_a_part_of_the_instruction() -> None:
    assert instruction_hash("ab") == text_hash("ab")
    assert len({instruction_hash("ab"), instruction_hash("a", "b"), instruction_hash("a", "b "), text_hash("a b")}) == 4


def test_unstorable_characters_are_replaced_and_counted() -> None:
    assert storable("a\0b\ud800c\udfff") == ("a\ufffdb\ufffdc\ufffd", 3)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_other_text_is_stored_as_it_is(text: str) -> None:
    assert storable(text) == (text, 0)


@settings(deadline=None)
@given(st.text(alphabet=st.characters()))
def test_storable_text_is_utf_8_without_nul(text: str) -> None:
    clean, replaced = storable(text)
    assert len(clean) == len(text)
    assert "\0" not in clean
    assert clean.encode().decode() == clean
    assert replaced == sum(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)


def test_a_number_and_its_noun_agree() -> None:
    assert [counted(n, "pair") for n in (0, 1, 2, 1200)] == ["0 pairs", "1 pair", "2 pairs", "1,200 pairs"]
    assert [counted(n, "person", "people") for n in (1, 2)] == ["1 person", "2 people"]
    assert (agreeing(1)["are"], agreeing(2)["are"]) == ("is", "are")
    assert set(agreeing(1)) == set(agreeing(0)) == set(agreeing(0).values())


@given(st.text(max_size=20))
def test_a_names_key_is_that_of_itself_however_it_is_written(name: str) -> None:
    key = name_key(name)
    assert name_key(key) == key
    for written in (
        f"  {name}\t",
        name.replace(" ", "  "),
        name.replace("-", "\u2013"),
        unicodedata.normalize("NFKC", name),
    ):
        assert name_key(written) == key


@pytest.mark.parametrize("other", ["ana", "An a", "Ana-", "Aná"])
def test_names_that_differ_otherwise_are_different(other: str) -> None:
    assert (name_key(other) == name_key("ANA")) is (other == "ana")
