"""What the business means: stages and rules as values, plain functions."""
