#!/usr/bin/env bash
# What a cluster needs, in dist/: the wheel, the same as a .zip for spark-submit --py-files (executors refuse a .whl),
# the entry points with their settings, the JVM's jars, and the locked requirements of each extra; those of dev are for a
# machine that runs the tests.
#
#     bash infra/local/dist.sh dist
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

to=${1:-dist}
uv=$(command -v uv || echo var/tools/bin/uv)

rm -rf "$to"
mkdir -p "$to/jars" "$to/requirements"
"$uv" build --quiet --wheel --out-dir "$to"
wheel=$(ls "$to"/tenure-*.whl)
cp "$wheel" "${wheel%.whl}.zip"
tar -czf "$to/entry_points.tar.gz" --exclude=__pycache__ jobs ray_apps conf
cp var/jars/*.jar "$to/jars/"
for extra in spark train serve dev; do
    "$uv" export --quiet --locked --extra "$extra" --no-emit-project --no-header -o "$to/requirements/$extra.txt" >/dev/null
done
ls -1 "$to" "$to/jars" "$to/requirements" | sed "s|^|dist: |"
