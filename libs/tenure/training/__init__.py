"""The one loop, the way from Delta to shards, checkpoints, evaluation."""
