#!/bin/bash
# Searches on a Slurm cluster: a worker a GPU. Twice the same command goes on where a job ended,
# also in the middle of a child.
#
#     pip install 'keras_nasnet[tensorflow,cluster]'
#     sbatch --nodes 4 examples/cluster/slurm.sh /shared/photos /shared/search 1000
#
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
set -euo pipefail
data=$1 out=$2 trials=$3
export KERAS_BACKEND=${KERAS_BACKEND:-tensorflow}

# Whoever reaches the scheduler can run code as this user. Where the nodes are not yours alone, name
# ca.pem, cert.pem and key.pem in a folder TLS of the shared file system.
tls=() protocol=tcp
if [ -n "${TLS:-}" ]; then
    tls=(--tls-ca-file "$TLS/ca.pem" --tls-cert "$TLS/cert.pem" --tls-key "$TLS/key.pem")
    protocol=tls
fi

file=$(mktemp -u "$PWD/scheduler.XXXXXX.json")
trap 'rm -f "$file"; kill $(jobs -p) 2> /dev/null' EXIT
dask scheduler --protocol $protocol --port 0 --scheduler-file "$file" --no-dashboard "${tls[@]}" &
while [ ! -s "$file" ]; do sleep 1; done
# A child is begun again by the search, not by Slurm.
srun --kill-on-bad-exit=0 \
    dask worker --scheduler-file "$file" --nthreads 1 --no-dashboard --death-timeout 120 "${tls[@]}" &

place=(--out "$out")
[ -e "$out/search.json" ] && place=(--resume "$out")
[ -e "$out/search.json" ] || place+=(--data "$data" --seed 0)
keras-nasnet search "${place[@]}" --trials "$trials" --scheduler-file "$file" "${tls[@]}"
