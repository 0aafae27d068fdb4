"""What tables look like and what belongs to a shop: values, standard library only."""
