"""What is learnt, as values: one file a task."""
