#!/usr/bin/env bash
# Packages both charts as OCI artefacts: target/charts/NAME-VERSION.tgz. Nothing is pushed; the commands that push are printed.
#   scripts/package-charts.sh [REGISTRY [DIR]]     REGISTRY for the printed commands: oci://registry.example/charts; DIR instead of
#                                                  target/charts
# Helm is the one of scripts/kube.sh, or that of the PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
registry=${1:-oci://REGISTRY/charts}
case $registry in
oci://?*) ;;
*)
    echo "error: $registry: a registry of charts begins with oci://" >&2
    exit 2
    ;;
esac
helm=${ZKINFER_KUBE_BIN:-${XDG_CACHE_HOME:-${HOME:-/nowhere}/.cache}/zkinfer/kube}/helm
[ -x "$helm" ] || helm=$(command -v helm) || {
    echo "error: no helm: scripts/kube.sh builds it" >&2
    exit 2
}
out=${2:-target/charts}
mkdir -p "$out"
for chart in charts/*/; do
    chart=${chart%/}
    "$helm" lint --strict --quiet "$chart"
    # Helm says where it has put it; of what came before nothing stays.
    rm -f "$out/$(basename "$chart")"-[0-9]*.tgz
    "$helm" package "$chart" --destination "$out" >/dev/null
done
echo "packaged:"
sha256sum "$out"/*.tgz
echo "to push them, signed in (helm registry login):"
for package in "$out"/*.tgz; do
    echo "  helm push $package $registry"
done
echo "to install from there:"
echo "  helm install zkinfer $registry/zkinfer --namespace zkinfer-system --create-namespace"
