"""DataFrame to DataFrame transforms, Delta reading and writing, checks; no torch, no ray."""
