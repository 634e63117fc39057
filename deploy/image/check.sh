#!/usr/bin/env bash
# Build the image on a root file system of this Debian's, for no registry is asked, and run it as a cluster would: not as
# root, with nothing to write to but /data. As root; needs buildah, mmdebstrap and iproute2.
#   [SUITE=trixie] deploy/image/check.sh [FILE]     FILE is where the SBOM goes (CycloneDX)
set -euo pipefail
sbom=$(realpath -m "${1:-build/sbom.cdx.json}")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf -- '-- %3ds %s\n' "$SECONDS" "$*"; }
die() { printf 'image: %s\n' "$*" >&2; exit 1; }

tools=.venv/tools/bin
work=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    store umount --all >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT

# A storage of its own: nothing is found in it, and nothing stays.
store() { buildah --root "$work/storage" --runroot "$work/run" "$@"; }

# Where pip gets packages from is this machine's affair: the build sees it while it installs, and the image has none of it.
pip_settings() {
    local settings certificates
    settings=$(.venv/bin/pip config list)
    certificates=$(sed -n "s/^[^ ]*\.cert='\(.*\)'$/\1/p" <<<"$settings" | tail -n 1)
    {
        echo "[global]"
        sed -n "s/^\(global\|:env:\)\.\(index-url\|extra-index-url\|trusted-host\|default-timeout\)='\(.*\)'$/\2 = \3/p" <<<"$settings"
        [ -z "$certificates" ] || echo "cert = /etc/ssl/certs/ca-certificates.crt"
    } >"$work/pip.conf"
    options=(--secret "id=pip.conf,src=$work/pip.conf")
    [ -z "$certificates" ] || options+=(--volume "$certificates:/etc/ssl/certs/ca-certificates.crt:ro")
}

build_base() {
    local sources=/etc/apt/sources.list.d/debian.sources here container
    [ -e "$sources" ] || sources=/etc/apt/sources.list
    here=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    sed "s/\b$here\b/${SUITE:=$here}/g" "$sources" >"$work/${sources##*/}"
    container=$(store from scratch)
    mmdebstrap --quiet --variant=essential --include=ca-certificates,python3,python3-venv \
        "$SUITE" "$(store mount "$container")" "$work/${sources##*/}"
    store commit --quiet --rm "$container" "$1" >/dev/null
}

fact() { store inspect --type image --format "{{$1}}" "$image"; }
in_image() { nsenter --target "$server" --mount --net --root --wd --setuid 65532 --setgid 65532 -- env "${environment[@]}" "$@"; }
get() { in_image python3 -I -c 'import sys, urllib.request as u; sys.stdout.write(u.urlopen("http://127.0.0.1:10310" + sys.argv[1], timeout=4).read().decode())' "$1"; }

say "base image"
build_base localhost/python:debian
say "image"
image=localhost/video-analytics-exporter
version=$(.venv/bin/python -c 'import exporter; print(exporter.__version__)')
revision=$(git rev-parse HEAD)
pip_settings
store bud --quiet --format docker --isolation chroot --pull-never --layers=false "${options[@]}" --tag "$image" \
    --build-arg PYTHON_IMAGE=localhost/python:debian --build-arg VERSION="$version" --build-arg REVISION="$revision" . \
    >"$work/build.log" 2>&1 || { tail -n 30 "$work/build.log" >&2; die "the build failed"; }

container=$(store from --pull-never "$image")
root=$(store mount "$container")
size() { du --summarize --block-size=1M "$@" | cut -f 1; }
say "$(size "$root") MB, of which /app has $(size "$root/app")"
[ "$(size "$root/app")" -le 100 ] || die "/app has grown: is all of it needed? docs/deploy/image.md says how large it is"

say "what it says of itself"
[ "$(fact .OCIv1.Config.User)" = 65532:65532 ] || die "it runs as $(fact .OCIv1.Config.User)"
label() { [ "$(fact "index .OCIv1.Config.Labels \"org.opencontainers.image.$1\"")" = "$2" ] || die "its label $1 is wrong"; }
label title video-analytics-exporter
label licenses Apache-2.0
label version "$version"
label revision "$revision"
label base.name localhost/python:debian
fact .OCIv1.Config.Labels | grep -q image.description || die "it has no description"

say "what must not be in it"
[ -z "$(find "$root/app" "$root/data" -perm /6022 ! -type l)" ] || die "files are writable by others, or run as others"
[ -z "$(find "$root/src" "$root/build" "$root/wheels" -maxdepth 0 2>/dev/null)" ] || die "it has what the build left"
[ ! -s "$root/etc/pip.conf" ] || die "it has the build's pip.conf"
[ -z "$(find "$root/app/lib" -maxdepth 3 -name pip)" ] || die "it has pip"

say "SBOM"
packages=("$root"/app/lib/python3*/site-packages)
# It asks a Python where packages are; this one's are not where the Python is.
printf '#!/bin/sh\necho '"'"'["%s"]'"'"'\n' "${packages[0]}" >"$work/python"
chmod +x "$work/python"
mkdir -p "$(dirname "$sbom")"
"$tools/cyclonedx-py" environment --output-reproducible --pyproject pyproject.toml --output-file "$sbom" "$work/python"
.venv/bin/python deploy/image/compare.py "$sbom" requirements/run.txt "$(basename "$(dirname "${packages[0]}")")"

say "run, as 65532 and with a read-only root"
readarray -t environment < <(fact 'range .OCIv1.Config.Env}}{{println .}}{{end' | sed '/^$/d')
# /data is the volume; the network is its own, so that the port is free.
# shellcheck disable=SC2016
unshare --mount --net bash -euc '
    root=$1; shift
    ip link set lo up
    mount --bind "$root" "$root"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o uid=65532,gid=65532,mode=0700 tmpfs "$root/data"
    mount -o remount,bind,ro "$root"
    exec chroot --userspec=65532:65532 "$root" env --ignore-environment "$@"
' - "$root" "${environment[@]}" "$(fact 'index .OCIv1.Config.Entrypoint 0')" demo --storage.path=/data \
    >"$work/server.log" 2>&1 &
server=$!
failed() { tail -n 20 "$work/server.log" >&2; die "$*"; }

deadline=$((SECONDS + 60))
until get /-/ready >/dev/null 2>&1; do
    kill -0 "$server" 2>/dev/null || failed "it ended by itself"
    [ "$SECONDS" -lt "$deadline" ] || failed "it is not ready within 60 s"
    sleep 0.2
done
[ "$(awk '/^Uid:/ {print $2, $3, $4, $5}' "/proc/$server/status")" = "65532 65532 65532 65532" ] || die "it runs as another user"
! in_image touch /app/new 2>/dev/null || die "its root can be written"
get /metrics | grep -q "^video_analytics_exporter_build_info{.*revision=\"$revision\",version=\"$version\"" || failed "no build_info of $version, $revision"
deadline=$((SECONDS + 10))
until in_image sh -c 'ls /data/*.snapshot' >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || failed "nothing is stored in /data"
    sleep 0.2
done
readarray -t health < <(fact 'range .Docker.Config.Healthcheck.Test}}{{println .}}{{end' | sed '/^$/d;1d')
in_image "${health[@]}" || failed "its health check fails"
say "ready, healthy, and stores"

kill -TERM "$server"
code=0
wait "$server" || code=$?
server=
[ "$code" = 0 ] || die "SIGTERM: exit code $code"
say "SIGTERM: exit 0"
