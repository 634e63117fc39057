import pytest

from exporter.history.receiver import Answer
from exporter.history.refusal import Refusal, judged


@pytest.mark.parametrize(
    ("status", "said", "cause"),
    [
        (400, "out of order sample\n", "late"),
        (400, "out of bounds\n", "late"),
        (500, "too old sample\n", "late"),
        (400, "duplicate sample for timestamp\n", "taken"),
        (400, "failed pushing: … (err-mimir-sample-out-of-order)", "late"),
        (400, "… (err-mimir-sample-timestamp-too-old)", "late"),
        (400, "… (err-mimir-sample-duplicate-timestamp)", "taken"),
        (401, "Unauthorized", "elsewhere"),
        (404, "remote write receiver needs to be enabled with --web.enable-remote-write-receiver", "elsewhere"),
        (400, "label value too long", "other"),
    ],
)
def test_a_refusal_is_known_by_its_words(status, said, cause):
    refusal = judged(Answer(status, said))
    assert refusal.cause == cause
    assert ("out_of_order_time_window" in str(refusal)) == (cause == "late")


@pytest.mark.parametrize(
    "answer", [Answer(500, "compaction failed"), Answer(503, "too old a connection"), Answer(429, "")]
)
def test_other_answers_decide_nothing(answer):
    assert judged(answer) is None


def test_a_refusal_says_what_to_set():
    assert str(Refusal(400, "out of order sample")) == (
        "HTTP 400: out of order sample (the receiver takes no samples so old; in prometheus.yml set "
        "`storage: {tsdb: {out_of_order_time_window: …}}`, at least `catch_up` long)"
    )
