"""The data jobs against their peers: ratios measured in one run, on outputs that are equal."""
