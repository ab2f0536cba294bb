#!/usr/bin/env bash
# Puts Debian's Prometheus, with promtool, into a cache folder for the tests, and prints the folder. Nothing is installed: no service
# starts, and nothing else of this machine changes. What is there already is left alone.
# ZKINFER_PROMETHEUS names another folder that has both programs; tests/src/prometheus.rs looks in the same place.
set -euo pipefail
folder=${ZKINFER_PROMETHEUS:-${XDG_CACHE_HOME:-$HOME/.cache}/zkinfer/prometheus}
if [ -x "$folder/prometheus" ] && [ -x "$folder/promtool" ]; then
    echo "$folder"
    exit 0
fi
for program in apt-get dpkg-deb; do
    command -v "$program" >/dev/null || { echo "prometheus: this machine lacks $program: put prometheus and promtool into $folder" >&2; exit 2; }
done
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Whoever fetches for apt may write here.
chmod 755 "$work"
(
    cd "$work"
    apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }
    dpkg-deb -x prometheus_*.deb unpacked
) >&2
for program in prometheus promtool; do
    install -m 755 "$work/unpacked/usr/bin/$program" "$folder/.$program"
    mv "$folder/.$program" "$folder/$program"
done
echo "$folder"
