import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.document import read

SHARED = """\
sources:
  a:
    labels: &base
      env: prod
      team:
        one
  b:
    labels: {<<: *base, zone: x}
  c:
    labels:
      <<: *base
      env: dev
"""


def messages(text):
    return [fault.message for fault in read(text).faults]


TRAPS = """
NO no yes on off y 010 0o14 0x1F 0b11 1:30 190:20:30 1_000 2026-01-02 2026-01-02T03:04:05Z
= .inf -.inf .nan 1e e1 . + 1.2.3 tRUE
"""


@pytest.mark.parametrize("text", TRAPS.split())
def test_what_only_yaml_1_1_takes_for_something_else_is_text(text):
    assert read(f"key: {text}\nlist: [{text}]").data == {"key": text, "list": [text]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, True) for text in ("true", "True", "TRUE")],
        *[(text, False) for text in ("false", "False", "FALSE")],
        *[(text, None) for text in ("null", "Null", "NULL", "~", "")],
        *[("0", 0), ("7", 7), ("-7", -7), ("+7", 7), ("1.5", 1.5), ("1.", 1.0), (".5", 0.5), ("-1e3", -1000.0)],
        *[("1.5E-3", 0.0015), ('"7"', "7"), ("'true'", "true"), ("!!str 7", "7"), ('"null"', "null")],
    ],
)
def test_yaml_1_2_scalars_have_their_types(text, value):
    found = read(f"key: {text}").data["key"]
    assert found == value
    assert isinstance(found, type(value))
    assert isinstance(found, bool) == isinstance(value, bool)


@given(st.integers())
def test_integers_keep_their_value(number):
    assert read(f"key: {number}").data == {"key": number}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_their_value(number):
    assert read(f"key: {number!r}").data == {"key": number}


@pytest.mark.parametrize("key", ["NO", "1", "010", "true", "null", "~", "1:30", "2026-01-02", "1.10"])
def test_a_key_is_always_text(key):
    assert read(f"{key}: x").data == {key: "x"}


def test_each_value_has_the_line_of_its_key_or_item():
    document = read("""\
# a comment
a:

  b: |
    two
    lines
  c: >-
    folded
    text
  d: {e: 1, f: [x,
    y, {g: 2}]}
list:
  - one
  -
    two: 2
  - - nested
    - deeper
"last": "a
  b"
""")
    assert document.faults == ()
    lines = {
        ("a",): 2,
        ("a", "b"): 4,
        ("a", "c"): 7,
        ("a", "d"): 10,
        ("a", "d", "e"): 10,
        ("a", "d", "f", 0): 10,
        ("a", "d", "f", 1): 11,
        ("a", "d", "f", 2, "g"): 11,
        ("list",): 12,
        ("list", 0): 13,
        ("list", 1, "two"): 15,
        ("list", 2, 0): 16,
        ("list", 2, 1): 17,
        ("last",): 18,
    }
    assert {path: document.line(path) for path in lines} == lines


def test_a_path_that_is_not_there_has_the_line_of_what_is_around_it():
    document = read("a:\n  b: {c: 1}\n")
    assert document.line(("a", "b", "missing", 3)) == 2
    assert document.line(("elsewhere",)) == 1


def test_crlf_and_a_byte_order_mark_change_no_line():
    document = read("\ufeffa: 1\r\nb:\r\n  c: 2\r\n")
    assert document.data == {"a": 1, "b": {"c": 2}}
    assert document.line(("b", "c")) == 3


def test_merged_keys_have_the_line_where_they_are_written():
    document = read(SHARED)
    assert document.data["sources"]["b"]["labels"] == {"env": "prod", "team": "one", "zone": "x"}
    assert document.line(("sources", "b", "labels", "team")) == 5
    assert document.line(("sources", "b", "labels", "zone")) == 8


def test_a_key_beside_a_merge_wins_and_has_its_own_line():
    document = read(SHARED)
    assert document.data["sources"]["c"]["labels"]["env"] == "dev"
    assert document.line(("sources", "c", "labels", "env")) == 12
    assert document.faults == ()


def test_an_alias_has_its_own_line_and_its_inside_that_of_the_anchor():
    document = read("a: &x\n  b: 1\nc: *x\n")
    assert (document.line(("c",)), document.line(("c", "b"))) == (3, 2)


def test_a_list_that_overrides_a_merged_one_has_its_own_lines():
    document = read("a: &x\n  list:\n    - 1\n    - 2\nb:\n  <<: *x\n  list:\n    - 3\n")
    assert document.data["b"] == {"list": [3]}
    assert document.line(("b", "list", 0)) == 8


def test_the_inside_of_an_overridden_mapping_leaves_no_lines():
    document = read("a: &x\n  m: {old: 1}\nb:\n  <<: *x\n  m: {new: 2}\n")
    assert document.line(("b", "m", "old")) == 5


def test_a_list_of_merges_takes_the_first():
    document = read("a: &a {x: 1}\nb: &b {x: 2, y: 3}\nc: {<<: [*a, *b]}\n")
    assert document.data["c"] == {"x": 1, "y": 3}
    assert document.faults == ()


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", ("a",), 3),
        ("a:\n  b: 1\n  'b': 2\n", ("a", "b"), 3),
        ("a: {b: 1,\n  b: 2}\n", ("a", "b"), 2),
        ("list:\n  - x: 1\n    x: 1\n", ("list", 0, "x"), 3),
        ("1: a\n'1': b\n", ("1",), 2),
    ],
)
def test_a_key_that_stands_twice_is_a_fault_at_its_second_place(text, path, line):
    document = read(text)
    assert [(fault.path, document.line(fault.path)) for fault in document.faults] == [(path, line)]
    assert messages(text) == ["stands twice"]


def test_an_alias_of_a_mapping_that_overrides_a_merge_has_no_double_keys():
    document = read("a: &x {env: prod}\nb: &y {<<: *x, env: dev}\nc: *y\n")
    assert document.data["c"] == {"env": "dev"}
    assert document.faults == ()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3, "expected ',' or ']'"),
        ("a: 1\nb: {c: 1\n", 3, "expected ',' or '}'"),
        ("a: 'open\n", 2, "unexpected end of stream"),
        ("a: 1\n b: 2\n", 2, "mapping values are not allowed here"),
        ("a: 1\nb: *nowhere\n", 2, "undefined alias"),
        ("a: 1\nb: !unknown x\n", 2, "tag"),
        ("a: 1\nb: !!python/object/apply:os.system x\n", 2, "tag"),
        ("a: 1\nb: @at\n", 2, "cannot start any token"),
        ("a:\n  - x\n  y: 1\n", 3, "expected <block end>"),
        ("a: 1\nb:\n  <<: 5\n", 3, "merging"),
        ('a: 1\nb: "\\q"\n', 2, "escape"),
        ("%YAML 3.0\n---\na: 1\n", 1, "version"),
    ],
)
def test_wrong_yaml_is_one_fault_with_its_line(text, line, words):
    document = read(text)
    (fault,) = document.faults
    assert fault.message.startswith("is no valid YAML: ")
    assert words in fault.message
    assert document.line(fault.path) == line


def test_a_tab_is_called_by_its_name():
    assert "tab" in messages("a:\n\tb: 1\n")[0] or "\\t" in messages("a:\n\tb: 1\n")[0]


def test_a_second_document_is_said_to_be_one_too_many():
    (message,) = messages("a: 1\n---\nb: 2\n")
    assert "single document" in message or "one document" in message


@pytest.mark.parametrize("text", ["a: 1\nb: x\x01y\n", "a: 1\nb: \x00\n", "a: 1\n# \x7f\n"])
def test_an_unprintable_character_is_a_fault_on_its_line(text):
    document = read(text)
    (fault,) = document.faults
    assert "unprintable" in fault.message
    assert document.line(fault.path) == 2


@pytest.mark.parametrize("text", ["a: &x [*x]\n", "a: &x {b: *x}\n", "[" * 3000, "a: " + "{b: " * 3000])
def test_endless_nesting_is_a_fault(text):
    assert len(messages(text)) == 1


BAD_TAGS = ["!!int abc", "!!int ''", "!!float x", "!!bool maybe", "!!timestamp noon", "!!binary ü"]


@pytest.mark.parametrize("value", [*BAD_TAGS, pytest.param("7" * 5000, id="long")])
def test_a_value_that_its_tag_does_not_admit_is_a_fault_on_its_line(value):
    document = read(f"a: 1\nb: {value}\n")
    assert len(document.faults) == 1
    assert document.line(document.faults[0].path) == 2


@pytest.mark.parametrize("key", ["[a, b]", "{a: b}", "{{ name }}"])
def test_a_key_that_is_no_scalar_is_a_fault_without_python_in_it(key):
    (fault,) = read(f"a: 1\n? {key}\n: x\n").faults
    assert "Node" not in fault.message + str(fault.path)


UNQUOTED = r"""
*CANARY
!CANARY x
!it's-CANARY x
!<CANARY> x
@CANARY
`CANARY
%CANARY
&CANARY &b x
'CANARY
[CANARY
{CANARY: [}
"CANARY\q"
CANARY: CANARY: x
!!CANARY x
!CANARY!x y
|CANARY
>9CANARY
"""


@pytest.mark.parametrize("value", UNQUOTED.strip().splitlines())
def test_wrong_yaml_is_never_quoted(value):
    (message,) = messages(f"key: {value}\n")
    assert "CANARY" not in message


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "---\n...\n", "null\n"])
def test_an_empty_file_is_no_fault_of_yaml(text):
    document = read(text)
    assert (document.data, document.faults) == (None, ())


@given(st.text(max_size=200))
def test_any_text_is_read_or_has_a_fault(text):
    document = read(text)
    assert all(document.line(fault.path) >= 1 for fault in document.faults)


@given(st.text(alphabet="ab:-{}[],&*!|>'\"#% \n\t<~1.", max_size=60))
def test_any_mixture_of_yaml_syntax_is_read_or_has_a_fault(text):
    document = read(text)
    assert all(document.line(fault.path) >= 1 for fault in document.faults)
