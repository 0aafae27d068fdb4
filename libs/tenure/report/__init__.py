"""What a release and its models have to say, as one page for people and one file for programs; no Spark, no Ray."""
