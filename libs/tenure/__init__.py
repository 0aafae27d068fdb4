"""Member-lifecycle intelligence for e-commerce, on Spark and Ray."""
