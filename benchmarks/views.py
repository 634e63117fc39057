"""Does the memory of a poll of raw views grow with the number of views?

Pages of 10,000 views each are made, decoded, read and aggregated as a poll does it, once for a tenth of the views
and once for all, each in a process of its own. Prints what each process needed above its start, and the ratio: 1 is
constant. `view_sessions` counts distinct values, so that its memory grows with those; it is measured apart.

    python benchmarks/views.py [VIEWS]
"""

import json
import resource
import subprocess
import sys
import time

from exporter.aggregate import Aggregate
from exporter.config import load
from exporter.model import Turn, Window
from exporter.normalise import Tabulator
from exporter.plan import plan
from exporter.providers.decode import decode

PAGE = 10_000
CONSTANT = "view_segments, active_view_segments, watched_seconds"
CONFIG = """
sources:
  ibm: {{type: ibm_video, auth: {{client_id: c, client_secret: s}}}}
queries:
  - {{name: views, source: ibm, metrics: [{metrics}], dimensions: [content_type, country, os]}}
"""


def page(number: int) -> bytes:
    """Make one page as the vendor would send it; every tenth view continues a session of the page before."""
    data = [
        {
            "type": "View",
            "attributes": {
                "view_id": f"4bfc69b5-1320-4a44-a8d6-{number * PAGE + row:012d}",
                "view_session_id": f"7f66d911:{number * PAGE + row - (PAGE if row % 10 == 0 else 0):08x}",
                "content_id": 77569623,
                "content_type": "live",
                "country": ("US", "HU", "DE", "IN", "BR")[row % 5],
                "city": "Budapest",
                "client_id": str(13602851710424434669 + row),
                "started_at": "2018-07-16T19:20:30+01:00",
                "finished_at": "2018-07-16T19:20:42+01:00" if row % 7 else None,
                "from": 0,
                "to": 0,
                "is_mobile_view": True,
                "view_type": "offsite",
                "viewer_identifier": "some.viewer@example.com",
                "device_info": {"os": {"family": ("iOS", "Android", "Windows")[row % 3]}},
            },
        }
        for row in range(PAGE)
    ]
    return json.dumps(
        {"data": data, "pagination": {"next": {"href": f"/views?_page={number + 2}&_limit={PAGE}"}}}
    ).encode()


def measure(views: int, metrics: str) -> None:
    """Aggregate so many views, and print the kilobytes and seconds that it took."""
    job = plan(load(CONFIG.format(metrics=metrics), name="views.yaml", env={})).jobs[0]
    part, window = job.parts[0], Window(1531765200, 1531765500)
    page(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    aggregate, spent = Aggregate(job.query, part), 0.0
    for number in range(views // PAGE):
        body = page(number)
        began = time.process_time()
        aggregate.add(job.provider.parse(job.query, Turn(part, window, number + 1), decode(body)).rows)
        spent += time.process_time() - began
    tabulator = Tabulator(job.query)
    aggregate.finish(tabulator)
    assert sum(cell or 0 for cell in tabulator.table().columns[0].values) >= views * 0.9
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, spent)


def main(views: int) -> None:
    """Compare a tenth of the views with all of them."""
    for metrics in (CONSTANT, "view_sessions"):
        figures = {}
        for count in (views // 10, views):
            command = [sys.executable, __file__, str(count), metrics]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            figures[count] = int(answer[0]), float(answer[1])
            memory, spent = figures[count]
            print(
                f"{metrics}: {count} views, {memory / 1024:.1f} MiB above the start, {spent / count * 1e6:.1f} us each"
            )
        ratio = figures[views][0] / figures[views // 10][0]
        print(f"{metrics}: 10 x the views take {ratio:.2f} x the memory\n")


if __name__ == "__main__":
    if len(sys.argv) > 2:  # noqa: PLR2004 - the program calls itself with two
        measure(int(sys.argv[1]), sys.argv[2])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
