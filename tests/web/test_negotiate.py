import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition import Format
from exporter.web.negotiate import format_for, wants_gzip

OPENMETRICS, TEXT = Format.OPENMETRICS, Format.TEXT

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_2_42_NATIVE_HISTOGRAMS = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_2_20 = "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (PROMETHEUS_2_42, OPENMETRICS),
        (PROMETHEUS_2_42_NATIVE_HISTOGRAMS, OPENMETRICS),
        (PROMETHEUS_2_20, TEXT),
        (PROMETHEUS_3, OPENMETRICS),
        (FIREFOX, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("text/*", TEXT),
        ("text/plain", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("APPLICATION/OpenMetrics-Text; VERSION=1.0.0", OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"', OPENMETRICS),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", OPENMETRICS),
    ],
)
def test_what_clients_send(accept, form):
    assert format_for(accept) is form


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("text/plain;q=0.5,application/openmetrics-text;q=0.6", OPENMETRICS),
        ("application/openmetrics-text;q=0.5,text/plain;q=0.6", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=0.2,*/*", TEXT),
        ("application/openmetrics-text ; q=1.000 , text/plain ; q=0.999", OPENMETRICS),
        ("application/openmetrics-text;Q=0.1,text/plain;q=0.2", TEXT),
        ("text/plain,application/openmetrics-text", TEXT),
        ("application/openmetrics-text,text/plain", OPENMETRICS),
    ],
)
def test_the_highest_q_value_wins_and_of_two_alike_the_first(accept, form):
    assert format_for(accept) is form


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=0.0,text/plain;q=0.1", TEXT),
        ("text/plain;q=0,application/openmetrics-text;q=0.1", OPENMETRICS),
        ("text/plain;q=0", TEXT),
        ("*/*;q=0", TEXT),
    ],
)
def test_q_0_is_no_wish_and_where_nothing_fits_there_is_text(accept, form):
    assert format_for(accept) is form


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("application/*", OPENMETRICS),
        ("application/*;q=0.9,text/plain;q=0.1", OPENMETRICS),
        ("text/*;q=0.9,text/plain;q=0.1,application/openmetrics-text;q=0.5", OPENMETRICS),
        ("text/plain;q=0,*/*", OPENMETRICS),
        ("*/*;q=0.9,application/openmetrics-text;q=0.1", TEXT),
    ],
)
def test_the_most_specific_range_says_how_much_a_format_is_wanted(accept, form):
    """RFC 9110, section 12.5.1: `text/*;q=0.9` says nothing of text/plain where text/plain has a word of its own."""
    assert format_for(accept) is form


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=2.0.0",
        "application/openmetrics-text;version=1.0.0.0",
        "application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.1",
        "application/openmetrics",
        "application/json",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
    ],
)
def test_what_is_not_offered_is_not_given(accept):
    assert format_for(accept) is TEXT


@pytest.mark.parametrize(
    "accept",
    [
        ",",
        ";;;",
        "application/openmetrics-text;q=high",
        "application/openmetrics-text;q=",
        "application/openmetrics-text;q=nan",
        "application/openmetrics-text;q=-1",
        "q=1",
        "/",
        "=;=,=",
        "\x00",
        "a" * 10_000,
    ],
)
def test_junk_gets_text(accept):
    assert format_for(accept) is TEXT


junk = st.text() | st.text(st.sampled_from('aq=;,*/ .01"')) | st.sampled_from([PROMETHEUS_2_42, FIREFOX])


@given(junk)
def test_no_header_breaks_it(header):
    assert format_for(header) in Format
    assert wants_gzip(header) in (True, False)


@pytest.mark.parametrize(
    ("accept_encoding", "zipped"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("gzip, deflate, br, zstd", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("gzip;q=0.001", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("*", True),
        ("*;q=0.5", True),
        ("identity;q=0.5, gzip", True),
        ("identity;q=0, gzip;q=0.1", True),
        ("identity, gzip", True),
        ("", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("identity", False),
        ("identity, gzip;q=0.5", False),
        ("identity;q=0.6, *;q=0.5", False),
        ("deflate, br", False),
        ("gzipped", False),
        ("gzip;q=high", False),
        ("gzip;q=nan", False),
        (",;", False),
    ],
)
def test_gzip_if_it_is_wanted(accept_encoding, zipped):
    assert wants_gzip(accept_encoding) is zipped
