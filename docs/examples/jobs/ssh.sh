#!/bin/sh
# Trains on several machines that can be reached by ssh, without a password. The scheduler and a server are on the first.
#
#     sh ssh.sh "host-1 host-2 host-3" train book.txt --batch-size 192 --out runs/book
#
# Every machine needs seqlm in the same version, and the text and the folder of the run at the same place. Ctrl-C stops
# the training, and its state is saved. The run is then continued by: sh ssh.sh "..." train --resume runs/book

set -eu

hosts=$1
shift
first=${hosts%% *}
workers=$(echo "$hosts" | wc -w)
port=${SCHEDULER_PORT:-9091}
seqlm=${SEQLM:-seqlm}

# The arguments, so that the shell on the other side reads them as they are.
command=$seqlm
for argument in "$@" --kvstore dist_sync; do
    command="$command '$(printf %s "$argument" | sed "s/'/'\\\\''/g")'"
done

start() {
    ssh -tt "$1" "cd '$PWD' && DMLC_ROLE=$2 DMLC_PS_ROOT_URI=$first DMLC_PS_ROOT_PORT=$port \
        DMLC_NUM_WORKER=$workers DMLC_NUM_SERVER=1 $3 exec $command" </dev/null
}

start "$first" scheduler "" &
start "$first" server "" &
number=0
for host in $hosts; do
    if [ "$number" -gt 0 ]; then
        start "$host" worker "SEQLM_WORKER_NUMBER=$number" >"worker-$number.txt" 2>&1 &
    fi
    number=$((number + 1))
done
start "$first" worker SEQLM_WORKER_NUMBER=0
wait
