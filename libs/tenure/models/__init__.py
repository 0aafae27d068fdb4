"""Networks, and the one place where a row becomes tensors."""
