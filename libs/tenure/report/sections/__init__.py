"""The report's parts, one a file, each from facts to HTML."""
