#!/usr/bin/env bash
# Start the units under a real systemd, in a container of this Debian: socket, credentials, sandbox, reload, watchdog, restart.
# As root; needs mmdebstrap and systemd-container.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf -- '-- %3ds %s\n' "$SECONDS" "$*"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
home=$root/opt/video-analytics-exporter

say "Debian with systemd"
sources=/etc/apt/sources.list.d/debian.sources
[ -e "$sources" ] || sources=/etc/apt/sources.list
mmdebstrap --quiet --variant=essential --include=ca-certificates,curl,python3,python3-venv,systemd,systemd-sysv \
    "$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)" "$root" "$sources"

say "the exporter in /opt"
chroot "$root" python3 -m venv --without-pip /opt/video-analytics-exporter
packages=("$home"/lib/python3*/site-packages)
python=$(basename "$(dirname "${packages[0]}")")
install_() { .venv/bin/pip --quiet install --no-deps --only-binary=:all: --python-version "${python#python}" --target "${packages[0]}" "$@"; }
install_ --require-hashes -r requirements/run.txt
.venv/bin/pip --quiet wheel --no-deps --no-build-isolation --wheel-dir "$work" .
install_ --upgrade "$work"/video_analytics_exporter-*.whl
# pip writes for the Python that runs it.
sed -i '1s|.*|#!/opt/video-analytics-exporter/bin/python3|' "${packages[0]}/bin/video-analytics-exporter"
mv "${packages[0]}/bin/video-analytics-exporter" "$home/bin/"

say "units"
etc=$root/etc/video-analytics-exporter
cp -r deploy/systemd/video-analytics-exporter.* "$root/etc/systemd/system/"
# So that a process that hangs is noticed while we look.
printf '[Service]\nWatchdogSec=3s\nRestartSec=1s\n' >"$root/etc/systemd/system/video-analytics-exporter.service.d/soon.conf"
install -d -m 700 "$etc" "$etc/credentials"
chmod 755 "$etc"
for name in smartsight ibm; do install -m 600 /dev/stdin "$etc/credentials/$name" <<<secret; done
cat >"$etc/config.yaml" <<'YAML'
sources:
  mediamelon:
    type: smartsight
    customer_id: 1
    base_url: http://127.0.0.1:1
    auth: {api_key_file: "${CREDENTIALS_DIRECTORY}/smartsight"}
queries: [{name: q, source: mediamelon, metrics: [latency]}]
YAML
install -m 755 deploy/systemd/inside.sh "$root/inside.sh"
cat >"$root/etc/systemd/system/inside.service" <<'UNIT'
[Service]
Type=oneshot
ExecStart=/bin/sh -c "/inside.sh >/inside.log 2>&1 && touch /passed; systemctl poweroff --force"
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s /etc/systemd/system/inside.service "$root/etc/systemd/system/multi-user.target.wants/"

say "boot"
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout --kill-after=5 120 systemd-nspawn --quiet --directory="$root" --boot --register=no \
    --keep-unit --private-network --console=pipe </dev/null >"$work/boot.log" 2>&1 || true
[ -e "$root/passed" ] || { tail -n 30 "$work/boot.log" "$root/inside.log" >&2; echo "systemd: the units fail" >&2; exit 1; }
say "socket, credentials, sandbox, reload, watchdog, restart: as promised"
