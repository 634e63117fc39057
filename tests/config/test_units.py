import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.units import seconds, size, whole_seconds

UNITS = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
COUNTS = st.integers(0, 10**6)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *[("30s", 30), ("5m", 300), ("1h30m", 5400), ("1d", 86_400), ("1w", 604_800), ("1y", 31_536_000)],
        *[("1d12h", 129_600), ("1h0m5s", 3605), ("90m", 5400), ("500ms", 0.5), ("1s500ms", 1.5), ("5m5ms", 300.005)],
        *[("0s", 0), ("0", 0), (0, 0), (30, 30), ("30", 30), (1.5, 1.5), ("1.5", 1.5), ("007s", 7)],
    ],
)
def test_durations(text, number):
    assert seconds(text) == pytest.approx(number)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(UNITS, COUNTS)).filter(bool))
def test_units_in_their_order_add_up(parts):
    text = "".join(f"{parts[unit]}{unit}" for unit in UNITS if unit in parts)
    assert whole_seconds(text) == sum(count * UNITS[unit] for unit, count in parts.items())


@given(st.integers(0, 10**9))
def test_a_plain_number_is_seconds(number):
    assert whole_seconds(number) == whole_seconds(str(number)) == whole_seconds(f"{number}s") == number


@given(st.integers(0, 10**7))
def test_thousand_milliseconds_are_a_whole_second(number):
    assert whole_seconds(f"{number}000ms") == number


NO_TEXT = (True, False, None, [], [5], {}, -1, -0.5, float("inf"), float("nan"))
NO_DURATIONS = "m 5M 5min 5m1h 1s1s 1h30 -5m +5m -1 1.5h 1:30 5m, ٣s 1_0 inf nan 1e3s P1D forever"
ENDLESS = {"9s": "9" * 5000 + "s", "9": "9" * 5000, "inf": "9" * 400, "number": 10**400}


@pytest.mark.parametrize("value", ["", " ", "5 m", " 5m", *NO_DURATIONS.split(), *NO_TEXT])
def test_what_is_no_duration_says_how_to_write_one(value):
    with pytest.raises(ValueError, match=r"is no duration; .*1h30m"):
        seconds(value)


@pytest.mark.parametrize("value", ["1.5", 0.5, "500ms", "1s1ms"])
def test_periods_are_whole_seconds(value):
    with pytest.raises(ValueError, match="whole seconds"):
        whole_seconds(value)


@pytest.mark.parametrize("value", ENDLESS.values(), ids=ENDLESS)
def test_an_endless_number_is_no_duration(value):
    with pytest.raises(ValueError, match="is no duration"):
        seconds(value)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *[("64MiB", 67_108_864), ("1KiB", 1024), ("2GiB", 2**31), ("10MB", 10**7), ("1KB", 1000), ("3GB", 3 * 10**9)],
        *[("5B", 5), ("5", 5), (5, 5), ("64 MiB", 67_108_864), (2**40, 2**40)],
    ],
)
def test_sizes(text, number):
    assert size(text) == number


@pytest.mark.parametrize(
    "value",
    ["", "64 Mi B", *["MiB", "64mib", "64M", "-1", "1.5MiB", "64iB", "٣B", "1_0"], -1, 1.5, True, None, []],
)
def test_what_is_no_size_says_how_to_write_one(value):
    with pytest.raises(ValueError, match=r"is no size; .*64MiB"):
        size(value)


def test_an_endless_number_is_no_size():
    with pytest.raises(ValueError, match="is no size"):
        size("9" * 5000)
