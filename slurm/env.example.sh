# Copy to slurm/env.sh (git ignores nothing here: keep keys and account names out of the repository) and adapt.
# slurm/train.sbatch reads it before it starts the tasks.

# module load python/3.11 cuda/12.4          # what your site calls them
# . .venv/bin/activate
# export ICONOCLIP="singularity exec --nv iconoclip.sif iconoclip"

# Compute nodes are offline: fill this cache on a login node beforehand, by loading the model once there.
# export HF_HOME=$WORK/huggingface
# export HF_HUB_OFFLINE=1

# Several nodes: the interface that carries traffic between them, where torch does not find it by itself.
# export NCCL_SOCKET_IFNAME=ib0 GLOO_SOCKET_IFNAME=ib0

# export MAX_REQUEUE=20
