#!/usr/bin/env bash
# What check.sh runs inside the container; each line must succeed.
set -euxo pipefail

unit=video-analytics-exporter.service
show() { systemctl show --property "$1" --value "$unit"; }
get() { curl --silent --fail --max-time 30 "http://127.0.0.1:10310$1"; }
eventually() {
    for _ in {1..150}; do
        if "$@"; then return; fi
        sleep 0.2
    done
    return 1
}
restarted() { [ "$(show NRestarts)" -ge 1 ] && systemctl is-active --quiet "$unit"; }
stored() { ls /var/lib/private/video-analytics-exporter/*.snapshot >/dev/null 2>&1; }

# The first connection starts it, and is answered.
systemctl start video-analytics-exporter.socket
[ "$(show ActiveState)" = inactive ]
get /-/healthy
[ "$(show ActiveState)" = active ]
[ "$(show StatusText)" = "serving 1 queries" ]

# It may little, reads its secrets, keeps its state, and knows its own memory.
pid=$(show MainPID)
[ "$(awk '/^CapBnd:/ {print $2}' "/proc/$pid/status")" = 0000000000000000 ]
[ "$(awk '/^Seccomp:/ {print $2}' "/proc/$pid/status")" = 2 ]
[ "$(stat --format %u "/run/credentials/$unit/smartsight")" = "$(stat --format %u "/proc/$pid")" ]
[ "$(stat --format %a "/run/credentials/$unit/smartsight")" = 400 ]
[ "$(stat --format %u "/proc/$pid")" != 0 ]
eventually stored
get /metrics >/tmp/metrics
grep --quiet '^process_resident_memory_bytes ' /tmp/metrics
grep --quiet '^video_analytics_exporter_query_failures_total{.*reason="network"' /tmp/metrics

# A reload: a wrong configuration is told, and the old one stays.
systemctl reload "$unit"
eventually sh -c "systemctl show --property StatusText --value $unit | grep --quiet reloaded"
sed -i 's/latency/[/' /etc/video-analytics-exporter/config.yaml
systemctl reload "$unit"
eventually sh -c "systemctl show --property StatusText --value $unit | grep --quiet 'the old one stays'"
sed -i 's/\[\[/[latency/' /etc/video-analytics-exporter/config.yaml
systemctl reload "$unit"
[ "$(show MainPID)" = "$pid" ]

# A process that hangs is replaced; who connects during a restart is answered.
kill -STOP "$pid"
eventually restarted
systemctl restart --no-block "$unit"
get /-/healthy
systemctl stop "$unit"
[ "$(show Result)" = success ]
