#!/bin/sh
# Trains with a worker on each node of a Slurm allocation. The scheduler and a server are beside the first worker.
#
#     sbatch slurm.sh train book.txt --batch-size 256 --out runs/book
#
# The nodes need the same Python environment, and a file system that they share.
#SBATCH --job-name=seqlm
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --signal=TERM@120

set -eu

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export DMLC_PS_ROOT_URI="$first" DMLC_PS_ROOT_PORT="${SCHEDULER_PORT:-9091}"
export DMLC_NUM_WORKER="$SLURM_JOB_NUM_NODES" DMLC_NUM_SERVER=1
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"

on_first() {
    srun --nodes=1 --ntasks=1 --nodelist="$first" --overlap "$@"
}

DMLC_ROLE=scheduler on_first seqlm "$@" --kvstore dist_sync &
DMLC_ROLE=server on_first seqlm "$@" --kvstore dist_sync &
# The number of a worker is that of its node; the first writes the run.
DMLC_ROLE=worker srun --overlap sh -c 'SEQLM_WORKER_NUMBER=$SLURM_PROCID exec seqlm "$@"' sh "$@" --kvstore dist_sync
wait
