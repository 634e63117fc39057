import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.providers import scrub as module
from exporter.providers.decode import PIECE
from exporter.providers.errors import LONGEST_EXPLANATION
from exporter.providers.scrub import TELLING, echoes, scrub, telling

SECRET = 'p4ss/wörd "with" +&='
plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
secrets = st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=40).filter(
    lambda text: text.strip() == text and text not in "<secret>"
)


@pytest.mark.parametrize(
    "spelled",
    [SECRET, quote(SECRET), quote(SECRET, safe=""), quote_plus(SECRET), json.dumps(SECRET)[1:-1]],
)
def test_a_secret_goes_however_it_is_spelled(spelled):
    assert scrub(f"no access with {spelled}{spelled}!", [SECRET]) == "no access with <secret><secret>!"


@given(plain, secrets, st.sampled_from([str, quote, quote_plus, lambda text: json.dumps(text)[1:-1]]), plain)
def test_no_secret_is_left_wherever_it_stands(before, secret, spell, after):
    shown = scrub(before + spell(secret) + after, [secret])
    assert secret not in shown.replace("<secret>", "")


def test_a_secret_that_stands_in_another_leaves_nothing_of_it():
    assert scrub("key abc-def, abc", ["abc", "abc-def"]) == "key <secret>, <secret>"


def test_a_secret_across_the_cut_does_not_show_its_beginning():
    assert "hunter" not in scrub("x" * (LONGEST_EXPLANATION - 4) + "hunter22", ["hunter22"])


@pytest.mark.parametrize("secrets", [[], ["not in it"]])
def test_a_text_without_secrets_stays(secrets):
    assert scrub("HTTP 500: für 3 % “so”", secrets) == "HTTP 500: für 3 % “so”"


@given(st.text(st.characters() | st.sampled_from("\n\r\t\0\x1b\u2028\u202e\ud800"), max_size=2 * LONGEST_EXPLANATION))
def test_what_is_shown_is_one_line_not_too_long_and_harms_no_reader(text):
    shown = scrub(text, [])
    assert len(shown) <= LONGEST_EXPLANATION
    assert shown.isprintable()  # no line ends, no terminal's commands, nothing that UTF-8 can't spell
    shown.encode()


def test_what_can_t_be_shown_does_not_glue_words():
    assert scrub("two\nlines\x1b[31mred\ud800end", []) == "two lines [31mred end"


@pytest.mark.parametrize(
    "spelled",
    [
        quote(SECRET, safe="").lower(),
        SECRET.replace("&", "&amp;").replace('"', "&quot;"),
        base64.b64encode(SECRET.encode()).decode(),
    ],
    ids=["lower-case percent", "HTML", "Base64"],
)
def test_a_secret_goes_in_spellings_that_proxies_make(spelled):
    assert scrub(f"no access with {spelled}", [SECRET]) == "no access with <secret>"


@pytest.mark.parametrize(
    "body",
    [
        rb'{"cdn": "abcdefgh\/ijkl&nop"}',
        rb'{"cdn": "abcdefgh/ijkl\u0026nop"}',
        rb'{"cdn": "\u0061bcdefgh/ijkl&nop"}',
        '{"cdn": "abcdefgh/ijkl&nop"}'.encode("utf-16"),
        rb'{"cdn": "abcdefgh\/ijkl&nop", "plays": NaN}',
        rb'{"cdn": "abcdefgh\/ijkl&nop", "half": "\ud800"}',
    ],
)
def test_a_secret_that_is_spelled_in_another_way_is_found(body):
    assert echoes(body, telling(["abcdefgh/ijkl&nop"]))


def test_a_short_text_is_no_secret_to_look_for():
    assert telling(["eleven-long", "twelve--long"]) == {b"twelve--long"}
    assert not echoes(b'"eleven-long"', telling(["eleven-long"]))


SHORT = {'"': r"\"", "\\": r"\\", "/": r"\/", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
ODD = 'aA0ü€😀 \\"/u\n\t\0é'
words = st.text(st.sampled_from(ODD) | st.characters(exclude_categories=["Cs"]), max_size=60)


def spelled(text, draw):
    """Write a text in quotes, each character in one of the ways that JSON has for it."""
    ways = draw(st.lists(st.integers(0, 2), min_size=len(text), max_size=len(text)))
    return '"' + "".join(map(written, text, ways)) + '"'


def written(character, way):
    if way == 0 and character >= " " and character not in '"\\':
        return character
    if way == 1 and character in SHORT:
        return SHORT[character]
    units = character.encode("utf-16-be").hex()
    units = units.upper() if way == 2 else units
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


@st.composite
def answers(draw, texts):
    """Give JSON of these texts, and some more of which one is long, in one of the ways to encode it."""
    long = draw(words) * draw(st.integers(0, 40))
    strings = draw(st.permutations([*texts, draw(words), long]))
    pairs = (f"{spelled(key, draw)}: [{spelled(text, draw)}, 7]" for key, text in zip("abc", strings, strict=False))
    return ("{" + ", ".join(pairs) + "}").encode(draw(st.sampled_from(["utf-8"] * 5 + ["utf-16", "utf-32-le"])))


@given(st.data(), words.filter(lambda text: len(text) >= TELLING), words, words, st.sampled_from([16, 100, PIECE]))
def test_a_secret_is_found_wherever_and_however_it_is_written(data, secret, before, after, piece):
    body = data.draw(answers([before + secret + after]))
    assert before + secret + after in flat(json.loads(body))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE", piece)
        assert echoes(body, telling([secret, "another-secret"]))


@given(st.data(), st.text("abü€😀 /u0", min_size=TELLING, max_size=40), st.sampled_from([16, 100, PIECE]))
def test_an_answer_without_the_secret_is_taken(data, secret, piece):
    at = data.draw(st.integers(0, len(secret) - 1))
    body = data.draw(answers([secret[:at] + secret[at + 1 :], secret[:at] + "x" + secret[at + 1 :]]))
    assume(not any(secret in text for text in flat(json.loads(body))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE", piece)
        assert not echoes(body, telling([secret]))


def flat(answer):
    """Give all texts."""
    return [text for key, (text, _) in answer.items() for text in (key, text)]


@pytest.mark.parametrize("spell", [str, lambda text: "".join(f"\\u{ord(each):04x}" for each in text)])
@pytest.mark.parametrize("filler", ["x", "\\\\", r"\"", "\\u00e9", "\\ud83d\\ude00", "é", "😀"])
def test_a_secret_is_found_at_every_place_around_the_end_of_a_piece(monkeypatch, spell, filler):
    monkeypatch.setattr(module, "PIECE", 256)
    secret = "s3cret/of/ibm"
    filled = filler * (300 // len(filler.encode()))
    for shift in range(300):
        body = f'"{"y" * (shift % 13)}{filled[: shift // len(filler) * len(filler)]}{spell(secret)}{filled}"'.encode()
        assert echoes(body, telling([secret])), shift


def test_halves_of_characters_and_what_is_no_json_break_nothing():
    for body in (rb'"\ud800\udc00\ud800"', b'"\\', b"\\u12", b"\\" * 999, b"\xff\xfe\x00", b"\0\0", b"", b"\xff"):
        assert not echoes(body, telling(["s3cret/of/ibm"]))
    assert echoes(rb'"\ud800-and-more-of-it"', telling(["\ud800-and-more-of-it"]))
