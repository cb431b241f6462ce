# Copy to slurm/env.sh (git ignores nothing here: keep keys and account names out of the repository) and adapt.
# slurm/train.sbatch reads it on the first node, before it starts the tasks. Site by site: docs/slurm.md.

# module load python/3.11 cuda/12.4          # what your site calls them
# . .venv/bin/activate
# export ICONOCLIP="singularity exec --nv iconoclip.sif iconoclip"

# Compute nodes are offline (train.sbatch sets HF_HUB_OFFLINE=1): fetch the model on a login node beforehand with
#   iconoclip train CONFIG.yaml --stage $WORK/staged
# and start the job with staged=$WORK/staged behind CONFIG.yaml.

# Several nodes: the interface that carries traffic between them, where torch does not find it by itself,
# and the name of the first node on it, where that is another than its host name.
# export NCCL_SOCKET_IFNAME=ib0 GLOO_SOCKET_IFNAME=ib0
# export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)-ib0

# export MAX_REQUEUE=20
