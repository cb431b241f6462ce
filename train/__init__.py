"""From shards to a checkpoint: multi-process contrastive fine-tuning."""
