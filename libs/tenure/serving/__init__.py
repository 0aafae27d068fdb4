"""Loading, the member store, batching, access."""
