"""Rows of the exporter's dashboard: what fails, what the vendors answer, and what Prometheus is given."""

from exporter.dashboards.own import BY, DAY, NONE_IS_BEST, QUERY, SOURCE, SUCCESS, TARGET, chart, own
from exporter.dashboards.spec import Advice, Steps

FAILURES = (
    chart(
        "Failed polls by reason",
        Advice(
            "Why do polls fail?",
            "Any that does not end by itself; one now and then is made again within its tick.",
            "`auth`: key or password; `rate_limited`: ask less often; `timeout`, `network`, `server_error`: the vendor "
            "or the way there; `bad_request`, `bad_response`: the query; `bug`: report it.",
        ),
        "short",
        f"sum by (source, reason) (increase({own('query_failures_total', QUERY)}[$__rate_interval]))\n"
        f"or\n0 * sum by (source) ({SUCCESS})",
        "{{source}} {{reason}}",
        NONE_IS_BEST,
    ),
    chart(
        "Rows left out, by reason",
        Advice(
            "Is all of it shown that the vendor sent?",
            "`limit`: rows are missing, so sums are too small. `duplicate`, `invalid`: rows that could not be used.",
            "`limit`: raise `max_series`, or ask fewer dimensions. The others: look at the rows with `query NAME`.",
        ),
        "short",
        f"sum by (source, query, reason) (increase({own('query_rows_dropped_total', QUERY)}[$__rate_interval]))\n"
        f"or\n0 * sum by (source) ({SUCCESS})",
        "{{query}} {{reason}} ({{source}})",
        NONE_IS_BEST,
    ),
    chart(
        "Skipped ticks",
        Advice(
            "Is the vendor slower than the interval? Polls that did not start because the one before still ran.",
            "Any that go on: the data comes less often than it should.",
            "A longer `interval`, fewer dimensions, or a shorter `window`.",
        ),
        "short",
        f"sum by (source, query) (increase({own('query_skipped_total', QUERY)}[$__rate_interval]))",
        "{{query}} ({{source}})",
        NONE_IS_BEST,
    ),
    chart(
        "Sources slowed down",
        Advice(
            "When was which source left in peace? 1 while it is polled less often, after repeated failures.",
            "1: up to ten intervals from one poll to the next.",
            "The reasons beside it, then the vendor's status page.",
        ),
        "short",
        f"max by (source) ({own('api_circuit_open', SOURCE)})",
        "{{source}}",
        NONE_IS_BEST,
    ),
)
VENDORS = (
    chart(
        "API requests a day, at this pace",
        Advice(
            "Who asks the vendors most? What the present rate comes to in a day, by endpoint.",
            "More than the contract admits: the vendors bill and limit by it.",
            "A longer `interval` for the endpoint on top; `plan` says which queries it is.",
        ),
        "short",
        f"{DAY} * sum by (source, endpoint) (rate({own('api_requests_total', SOURCE)}[$__rate_interval]))",
        "{{source}} {{endpoint}}",
    ),
    chart(
        "API answers by code",
        Advice(
            "What do the vendors answer? Requests a second by status, or by the reason where no answer came.",
            "Anything but 200: 401 and 403 are the log-in, 429 too many, 5xx the vendor.",
            "The same time in Failed polls by reason; single ones are repeated, and need nothing.",
        ),
        "reqps",
        f"sum by (source, code) (rate({own('api_requests_total', SOURCE)}[$__rate_interval]))",
        "{{source}} {{code}}",
    ),
    chart(
        "Time of a request, p95",
        Advice(
            "How slow are the vendors? 95 of a hundred requests take no longer.",
            "Near the query's `timeout`, beyond which a poll fails. IBM may take a minute, SmartSight three.",
            "Fewer dimensions or a shorter `window`; a longer `timeout` where the interval admits it.",
        ),
        "s",
        "histogram_quantile(0.95, sum by (le, source, endpoint) "
        f"(rate({own('api_request_duration_seconds_bucket', SOURCE)}[$__rate_interval])))",
        "{{source}} {{endpoint}}",
        Steps("green", ((30, "yellow"), (60, "red"))),
    ),
    chart(
        "Requests that the vendor still admits",
        Advice(
            "How many requests does the vendor still admit? What it last said; empty where it does not say.",
            "0: nothing is asked until its limit is reset.",
            "A longer `interval`, or `requests_per_minute` of the source a little below what the vendor admits.",
        ),
        "short",
        f"min by (source) ({own('api_rate_limit_remaining', SOURCE)})",
        "{{source}}",
        Steps("red", ((1, "yellow"), (10, "green"))),
    ),
    chart(
        "Waiting for limits",
        Advice(
            "Are our own `limits` too tight? Seconds a second that requests wait for them.",
            "More than the number of requests at a time: a queue that grows.",
            "Raise `limits` of the source where the vendor admits it, or ask less often.",
        ),
        "s",
        f"sum by (source) (rate({own('api_throttled_seconds_total', SOURCE)}[$__rate_interval]))\n"
        f"or\n0 * sum by (source) ({own('api_circuit_open', SOURCE)})",
        "{{source}}",
        Steps("green", ((1, "yellow"), (4, "red"))),
    ),
    chart(
        "Repeated requests",
        Advice(
            "How often is a passing error made good? Requests a second that were made again.",
            "A rise that lasts: the vendor or the network is about to fail.",
            "API answers by code says with what; then as for those.",
        ),
        "reqps",
        f"sum by (source) (rate({own('api_retries_total', SOURCE)}[$__rate_interval]))",
        "{{source}}",
        Steps("green", ((0.1, "yellow"), (1, "red"))),
    ),
    chart(
        "Life of the access tokens",
        Advice(
            "Is the log-in renewed in time? Time until the access token expires.",
            "Below 0: the log-in fails.",
            "See the runbook LoginFailing; a rotated secret works without a restart.",
        ),
        "s",
        f"min by (source) ({own('api_token_expiry_timestamp_seconds', SOURCE)}) - time()",
        "{{source}}",
        Steps("red", ((0, "green"),)),
    ),
)
SCRAPES = (
    chart(
        "Series by query",
        Advice(
            "What does each query cost Prometheus?",
            "A sudden rise: a dimension has many new values. Near `max_series` rows will be left out.",
            "Fewer dimensions, a filter, or `top`.",
        ),
        "short",
        f"sum {BY} ({own('query_series', QUERY)})",
        "{{query}} ({{source}})",
        Steps("green", ((8000, "yellow"), (10000, "red"))),
    ),
    chart(
        "Samples a scrape",
        Advice(
            "How large is the exporter's page? Samples of a scrape, as Prometheus counted them.",
            "Near `sample_limit` of the scrape configuration: beyond it the whole scrape fails.",
            "Series by query says which one it is.",
        ),
        "short",
        f"scrape_samples_scraped{{{TARGET}}} and on (job, instance) {own('build_info', TARGET)}",
        "{{instance}}",
    ),
    chart(
        "Time of a scrape",
        Advice(
            "Is the exporter answering at once? It serves from memory.",
            "Seconds: a slow network, or too little CPU.",
            "CPU and its limits on that machine, then the network; beyond `scrape_timeout` there is no data.",
        ),
        "s",
        f"scrape_duration_seconds{{{TARGET}}} and on (job, instance) {own('build_info', TARGET)}",
        "{{instance}}",
        Steps("green", ((1, "yellow"), (5, "red"))),
    ),
    chart(
        "Memory",
        Advice(
            "Does it need more and more memory? Resident memory; it goes with the series.",
            "A steady rise without more series.",
            "Restart it with `--storage.path`, which loses nothing, and report it.",
        ),
        "bytes",
        f"process_resident_memory_bytes{{{TARGET}}} and on (job, instance) {own('build_info', TARGET)}",
        "{{instance}}",
    ),
)
