"""The data jobs against their peers: ratios measured in one run, on outputs that are equal."""

import sys
from pathlib import Path

# Jobs import one another by the names that they have beside each other, as under spark-submit; so do benchmarks.
sys.path.append(str(Path(__file__).parents[1] / "jobs"))
