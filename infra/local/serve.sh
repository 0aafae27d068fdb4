#!/usr/bin/env bash
# Serves the models of a work folder until Ctrl-C, on a Ray cluster of its own.
#
#     bash infra/local/serve.sh var/demo 8000
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=${1:-var/demo}
port=${2:-8000}
serving=

refuse_unpublished() {
    echo "nothing is published in $work: run make demo WORK=$work, or the commands that it shows, up to jobs/publish_members.py" >&2
    exit 2
}

[[ -d $work ]] || refuse_unpublished

# Not for what is started here, which may outlive this script.
exec 9> "$work/in_use.lock"
if ! flock --nonblock 9; then
    echo "a demo or a service (make serve) is under way in $work; wait for it or end it, or name another WORK" >&2
    exit 4
fi
[[ -f $work/store/CURRENT ]] || refuse_unpublished

export TENURE_RAY_OWNER=$$
finish() {
    trap '' INT TERM HUP
    if [[ -n $serving ]] && kill -INT "$serving" 2>/dev/null; then
        for _ in {1..75}; do
            kill -0 "$serving" 2>/dev/null || break
            sleep 0.2
        done
        # A shell that started this in the background may have made it deaf to INT.
        kill -TERM "$serving" 2>/dev/null || true
        wait "$serving" || true
    fi
    python infra/local/ray_cluster.py stop --work "$work"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

python infra/local/ray_cluster.py start --work "$work" 9>&-
. "$work/ray/client.sh"
if [[ $port != 8000 ]]; then # Serve's own, on loopback
    serve start --http-host 127.0.0.1 --http-port "$port" 9>&-
fi
# In the background, for bash hears a signal only while it waits, not while it runs something; as a job of its own, for
# else it would not hear of Ctrl-C.
set -m
serve run ray_apps.serve.members:build config=conf/serve/members.yaml env.work="$work" 9>&- &
serving=$!
wait "$serving"
