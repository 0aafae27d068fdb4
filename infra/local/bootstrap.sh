#!/usr/bin/env bash
# Brings what Tenure needs onto a Debian or Ubuntu machine: uv, Java 17 or newer, libgomp, the locked Python
# environment in .venv and the JVM's jars in var/jars. A second run finds it all there.
#
#     bash infra/local/bootstrap.sh
#
# System packages are installed only where they are missing and only after saying so; which Java there is, the package
# lists say, which are fetched first where they do not. Where installing is not allowed, the last line is the command to
# type.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly LOGS=var/logs
readonly UV_AT_LEAST=0.9.0
UV=uv
LOG=$LOGS/setup.log
mkdir -p "$LOGS"

say() { printf 'setup: %s\n' "$*"; }

stop() {
    printf 'setup: %s\n' "$*" >&2
    exit 2
}

# step WHAT COMMAND...: one line with its seconds; what the command prints goes to the log, and its end is shown where
# it fails.
step() {
    local what=$1 began=$SECONDS
    shift
    if ! "$@" >>"$LOG" 2>&1; then
        tail -n 15 "$LOG" >&2
        stop "$what failed after $((SECONDS - began)) s; the whole log is in $LOG"
    fi
    say "$what ($((SECONDS - began)) s)"
}

# as_root COMMAND...: by root itself or by sudo, which may ask for a password where somebody sits at a terminal.
as_root() {
    if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

may_be_root() {
    [[ $EUID -eq 0 ]] || { command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; }
}

lists_are_here() { [[ -n $(ls /var/lib/apt/lists/*_Packages* 2>/dev/null) ]]; }

bring_lists() { step "package lists" as_root apt-get update -q; }

# with_fresh_lists COMMAND...: once more where it fails, for old lists name files that the archive has no more.
with_fresh_lists() { "$@" || { as_root apt-get update -q && "$@"; }; }

# install WHY PACKAGE...: says what it is going to do before it does it.
install() {
    local why=$1 command="apt-get install -y --no-install-recommends ${*:2}"
    command -v apt-get >/dev/null || stop "$why is missing and this machine has no apt-get; install ${*:2} and run make again"
    may_be_root || stop "$why is missing; type: sudo apt-get update && sudo $command"
    say "$why is missing, so this installs system packages: $command"
    lists_are_here || bring_lists
    step "${why%,}" with_fresh_lists as_root env DEBIAN_FRONTEND=noninteractive $command
}

is_new_enough() { # VERSION AT_LEAST
    [[ $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]
}

uv_version() { "$1" --version 2>/dev/null | cut -d ' ' -f 2; }

bring_uv() {
    local found
    for UV in uv var/tools/bin/uv; do
        found=$(uv_version "$UV") && is_new_enough "$found" "$UV_AT_LEAST" && return
    done
    python3 -c 'import ensurepip, venv' 2>/dev/null || install "Python with venv, to bring uv," python3 python3-venv
    step "uv, in var/tools" bash -c 'python3 -m venv --clear var/tools && var/tools/bin/pip install --quiet "uv>=0.9"'
}

java_version() { # of the Java that Spark would start
    local java=${JAVA_HOME:+$JAVA_HOME/bin/}java
    "$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1
}

known_java() { # the oldest that will do: Spark is tried on 17 and 21, and 25 has dropped what Hadoop still calls
    local release
    for release in 17 21 25; do # of a name that others mention, and nobody offers, apt-cache shows nothing and ends with 0
        [[ -n $(apt-cache show "openjdk-$release-jre-headless" 2>/dev/null) ]] || continue
        echo "openjdk-$release-jre-headless"
        return
    done
}

system() { (. /etc/os-release && echo "$ID ${VERSION_ID:-}") 2>/dev/null || true; }

usual_java() { # where no list says what there is: Debian 13 and what comes after it have no 17, Debian 12 and Ubuntu do
    local id version
    read -r id version <<<"$(system)"
    [[ $id == debian && ${version:-13} -ge 13 ]] && echo openjdk-21-jre-headless || echo openjdk-17-jre-headless
}

bring_java() {
    local found package
    found=$(java_version 2>/dev/null || true)
    [[ ${found:-0} -ge 17 ]] && return
    [[ -z ${JAVA_HOME:-} ]] || stop "JAVA_HOME is $JAVA_HOME, no Java 17 or newer; unset it or point it to one"
    package=$(known_java)
    if [[ -z $package ]] && command -v apt-get >/dev/null && may_be_root; then
        say "Java 17 or newer, for Spark, is missing, so this asks which one there is: apt-get update"
        bring_lists
        package=$(known_java)
    fi
    install "Java 17 or newer, for Spark," "${package:-$(usual_java)}"
}

bring_libgomp() { # LightGBM's wheel uses the system's
    local known # a plain user's PATH lacks /sbin
    known=$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null || true)
    [[ $known == *libgomp.so.1* ]] || install "libgomp, for LightGBM," libgomp1
}

# up_to_date STAMP FILE...: whether STAMP was written for these files as they are now.
up_to_date() {
    [[ -f $1 && $(cat "$1") == $(sha256sum "${@:2}" | sha256sum) ]]
}

stamp() { sha256sum "${@:2}" | sha256sum >"$1"; }

bring_environment() {
    local made_from=(uv.lock pyproject.toml setup.py)
    up_to_date .venv/.tenure-made-from "${made_from[@]}" && return
    say "making the Python environment in .venv; torch and its libraries are about 3 GB, unless they are cached"
    step "Python environment, in .venv" "$UV" sync --locked --all-extras
    stamp .venv/.tenure-made-from "${made_from[@]}"
}

bring_jars() {
    local made_from=(uv.lock libs/tenure/spark/jars.py)
    up_to_date var/jars/.tenure-made-from "${made_from[@]}" && return
    step "jars for Spark, in var/jars" .venv/bin/python -m tenure.spark.jars var/jars
    stamp var/jars/.tenure-made-from "${made_from[@]}"
}

bytes_received() { # by every interface but the loopback one
    awk -F '[: ]+' 'NR > 2 { sub(/^ +/, ""); if ($1 != "lo") sum += $2 } END { printf "%.0f", sum }' /proc/net/dev
}

main() {
    local before began=$SECONDS came_down
    before=$(bytes_received)
    : >"$LOG"
    bring_uv
    bring_java
    bring_libgomp
    bring_environment
    bring_jars
    came_down=$(($(bytes_received) - before))
    printf '{"seconds": %d, "megabytes": %d}\n' $((SECONDS - began)) $((came_down / 1000000)) >"$LOGS/setup.json"
    say "ready after $((SECONDS - began)) s; $((came_down / 1000000)) MB came down"
}

main "$@"
