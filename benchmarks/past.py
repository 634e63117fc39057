"""What the vendors themselves answer about one hour, as the contract wants it in Prometheus.

One plain request for each hour, as a period of its own. Nothing of the exporter is used: paths, families, scales and
bounds are written down here once more.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

HOUR = 3600
ALL = 1_000_000
"""Rows a page of SmartSight's: all of them."""
KINDS = ("live", "recorded")

Row = Mapping[str, Any]
Query = Mapping[str, Any]
Samples = dict[frozenset[tuple[str, str]], float]

PATHS = {"qbrdata": "qbrData/vod", "smartquery": "smartQuery", "alerts": "getAIAlerts"}
SMARTSIGHT = {
    "viewercount": ("plays", 1),
    "attempts": ("attempts", 1),
    "views": ("views", 1),
    "concurviewavg": ("concurrent_views", 1),
    "playdur": ("playtime_seconds", 1),
    "qualityofexperience": ("playback_score", 1),
    "latency": ("startup_time_seconds", 1),
    "median_latency": ("startup_time_median_seconds", 1),
    "p95_latency": ("startup_time_p95_seconds", 1),
    "p99_latency": ("startup_time_p99_seconds", 1),
    "bufferingratio": ("buffering_ratio", 0.01),
    "cirrbufferingratio": ("connection_induced_rebuffering_ratio", 0.01),
    "vrtbufferingratio": ("video_restart_ratio", 0.01),
    "failurerate": ("startup_failure_ratio", 0.01),
    "startupabandonmentrate": ("exit_before_start_ratio", 0.01),
    "errors": ("errors", 1),
    "fatalerrors": ("fatal_errors", 1),
    "adimpression": ("ad_impressions", 1),
    "adfillrate": ("ad_fill_ratio", 0.01),
}
BOUNDS = {
    "bufferingratio": (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    "playdur": (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400),
}
SERIES = ("total_views", "unique_devices", "authenticated_viewers")
BY_CONTENT = {"peak_viewers": "peak-viewer-numbers", "viewer_seconds": "viewer-seconds"}


class Vendors:
    """Both vendors, with a log-in at each; ``env`` are the example's variables."""

    def __init__(self, http: httpx.Client, env: Mapping[str, str]) -> None:
        self._http = http
        self._env = env
        self._heads = {"mediamelon": {"X-API-Key": env["SMARTSIGHT_API_KEY"]}}
        user = {"username": env["SMARTSIGHT_USERNAME"], "password": env["SMARTSIGHT_PASSWORD"], "scope": "openid"}
        form = {"grant_type": "password", "client_id": "smartsight-backend", **user}
        token = http.post(env["SMARTSIGHT_TOKEN_URL"], data=form).raise_for_status().json()["access_token"]
        self._heads["mediamelon-legacy"] = {"Authorization": f"Bearer {token}"}
        form = {"grant_type": "client_credentials", "client_id": env["IBM_CLIENT_ID"], "token_type": "jwt"}
        basic = env["IBM_CLIENT_ID"], env["IBM_CLIENT_SECRET"]
        answer = http.post(env["IBM_TOKEN_URL"], data=form, auth=basic).raise_for_status()
        self._heads["ibm"] = {"Authorization": answer.json()["access_token"]}
        self._level = self._get("mediamelon-legacy", f"/planLevelByCustId/{env['SMARTSIGHT_CUSTOMER_ID']}", {})

    def hour(self, query: Query, start: int) -> Samples:
        """Give the samples of one hour of a query, as the example has it."""
        named = {"source": query["source"], "query": query["name"]}
        found = self._ibm(query, start) if query["source"] == "ibm" else self._smartsight(query, start)
        if query["source"] == "ibm":
            named["environment"] = "prod"
        samples: Samples = {}
        for family, labels, value in found:
            key = frozenset({"__name__": family, **named, **labels}.items())
            assert key not in samples, f"{key} is there twice"
            samples[key] = value
        return samples

    def _get(self, source: str, path: str, params: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
        url = self._env["IBM_URL" if source == "ibm" else "SMARTSIGHT_URL"] + path
        return self._http.get(url, params=params, headers=self._heads[source]).raise_for_status().json()

    # --- SmartSight ---

    def _smartsight(self, query: Query, start: int) -> "Iterator[Sample]":
        endpoint = query.get("endpoint", "metricquery")
        params = {"period": f"start={start},end={start + HOUR}", "limit": str(ALL)}
        params |= {name: str(value) for name, value in query.get("options", {}).items()}
        if "legacy" in query["source"]:
            params["planlevel"] = str(self._level)
        if endpoint not in ("smartquery", "alerts"):
            params |= _asked(query, sessions=endpoint == "listsessions")
        path = f"/mm-apis/{PATHS.get(endpoint, endpoint)}/{self._env['SMARTSIGHT_CUSTOMER_ID']}"
        answer = self._get(query["source"], path, params)
        rows = answer["response"]
        assert len(rows) == answer.get("totalrecords", len(rows)) < ALL, "a page must hold everything"
        if endpoint == "alerts":
            return _alerts(query, rows)
        return _distributions(query, rows) if endpoint == "listsessions" else _values(query, rows)

    # --- IBM ---

    def _ibm(self, query: Query, start: int) -> "Iterator[Sample]":
        fields, filters = _fields(query), query.get("filters", {})
        kind = "recorded" if "channel_id" in filters else filters.get("content_type", "")
        for kind_ in KINDS if "content_type" in query.get("dimensions", ()) else (kind,):
            for path, own in _paths(query, fields).items():
                rows = self._rows(path.format(f"/{kind_}" if kind_ else ""), query, start)
                yield from _counted(query, own, [{**row, "content_type": kind_} for row in rows], start)

    def _rows(self, path: str, query: Query, start: int) -> list[Row]:
        params = {
            "date_time_from": datetime.fromtimestamp(start, UTC).isoformat(),
            "date_time_to": datetime.fromtimestamp(start + HOUR, UTC).isoformat(),
            "_limit": "10000",
        }
        if any(each in path for each in BY_CONTENT.values()):
            params["granularity"] = "hour"
        ids = {name: value for name, value in query.get("filters", {}).items() if name.endswith("_id")}
        params |= {
            name: ",".join(map(str, value)) if isinstance(value, list) else str(value) for name, value in ids.items()
        }
        params |= {name: str(value).lower() for name, value in query.get("options", {}).items()}
        rows: list[Row] = []
        for page in range(1, 1000):
            answer = self._get("ibm", path, {**params, "_page": str(page)})
            rows += [item["attributes"] for item in answer["data"]]
            if not answer["pagination"].get("next"):
                break
        return rows


Sample = tuple[str, Mapping[str, str], float]
"""Family, the query's own labels, value."""


def _fields(query: Query) -> list[str]:
    return [each["field"] if isinstance(each, dict) else each for each in query.get("metrics", ())]


def _labels(query: Query, row: Row) -> dict[str, str]:
    return {name: str(row[name]) if row[name] not in ("", None) else "unknown" for name in query.get("dimensions", ())}


def _grouped(query: Query, rows: Iterable[Row]) -> Iterator[tuple[dict[str, str], Sequence[Row]]]:
    groups: defaultdict[tuple[tuple[str, str], ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(_labels(query, row).items())].append(row)
    return ((dict(key), own) for key, own in groups.items())


def _asked(query: Query, *, sessions: bool) -> dict[str, str]:
    dimensions = query.get("dimensions", [])
    texts = {name: each if isinstance(each, list) else [each] for name, each in query.get("filters", {}).items()}
    params = {
        "metrics": ",".join(_fields(query) + (dimensions if sessions else [])),
        "aggby": "sessionid" if sessions else ",".join(dimensions),
        "filter": "".join(f"[{name}={'|'.join(values)}]" for name, values in texts.items()),
        "qoefilter": query.get("having", ""),
    }
    return {name: value for name, value in params.items() if value}


def _values(query: Query, rows: Sequence[Row]) -> Iterator[Sample]:
    by = query.get("order_by", _fields(query)[0])
    for row in sorted(rows, key=lambda row: -row[by])[: query["top"]] if "top" in query else rows:
        for field in _fields(query):
            name, scale = SMARTSIGHT[field]
            if row[field] is not None:
                yield f"smartsight_{name}", _labels(query, row), scale * float(row[field])


def _alerts(query: Query, rows: Sequence[Row]) -> Iterator[Sample]:
    for labels, own in _grouped(query, rows):
        yield "smartsight_alerts", labels, len(own)
        newest = max(row["starttime"] for row in own)
        yield "smartsight_newest_alert_start_timestamp_seconds", labels, newest


def _distributions(query: Query, rows: Sequence[Row]) -> Iterator[Sample]:
    for labels, own in _grouped(query, rows):
        yield "smartsight_sessions", labels, len(own)
        for field in _fields(query):
            name, scale = SMARTSIGHT[field]
            family = f"smartsight_session_{name}"
            values = [scale * row[field] for row in own if row[field] is not None]
            yield f"{family}_sum", labels, sum(values)
            yield f"{family}_count", labels, len(values)
            for bound in (*query.get("buckets", {}).get(field, BOUNDS.get(field, ())), float("inf")):
                le = "+Inf" if bound == float("inf") else str(float(bound))
                yield f"{family}_bucket", {**labels, "le": le}, sum(value <= bound for value in values)


def _paths(query: Query, fields: Sequence[str]) -> dict[str, list[str]]:
    """Give the paths that have the fields of a query, ``{}`` where the content type stands."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    by = next((name for name in query.get("dimensions", ()) if name != "content_type"), "summary")
    channel = "/channel" if "channel_id" in query.get("filters", {}) else ""
    for field in fields:
        if field in SERIES:
            found[f"/{field.replace('_', '-')}{{}}/{by}"].append(field)
        elif field in BY_CONTENT:
            found[f"/{BY_CONTENT[field]}{{}}{channel}"].append(field)
        elif field != "active_view_segments":  # of now only
            found["/viewers{}" if field in ("viewers", "videos_watched") else f"/views{{}}{channel}"].append(field)
    return found


def _counted(query: Query, fields: Sequence[str], rows: Sequence[Row], start: int) -> Iterator[Sample]:
    by = next((name for name in query.get("dimensions", ()) if name != "content_type"), "")
    if fields[0] in SERIES:
        rows = [{**row, by: row["point"]} for row in rows]
    if fields[0] in ("view_segments", "view_sessions", "watched_seconds") and by:
        rows = [{**row, by: row["device_info"][by]["family"]} for row in rows]
    for labels, own in _grouped(query, rows):
        for field in fields:
            yield f"ibm_video_{field}", labels, _folded(field, own, start)


def _folded(field: str, rows: Sequence[Row], start: int) -> float:
    match field:
        case "peak_viewers":
            return float(max(row["value"] for row in rows))
        case "view_segments" | "viewers":
            return len(rows)
        case "view_sessions":
            return len({row["view_session_id"] for row in rows})
        case "watched_seconds":
            return sum(_inside(row, start) for row in rows)
        case "videos_watched":
            return float(sum(row["videos_watched"] for row in rows))
    return float(sum(row["value"] for row in rows))


def _inside(row: Row, start: int) -> float:
    """Give the seconds of a segment in the hour; one without an end lasts until the hour's."""
    began = datetime.fromisoformat(row["started_at"]).timestamp()
    ended = datetime.fromisoformat(row["finished_at"]).timestamp() if row["finished_at"] else start + HOUR
    return max(0.0, min(ended, start + HOUR) - max(began, start))
