"""What only a simulation knows, held against what the product made of its landing files. Read by the report alone."""
