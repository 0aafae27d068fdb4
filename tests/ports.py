"""A port for a server that a test starts, by the rule of the product's own Ray cluster.

One that the system hands out (a bind to port 0) may go to an outgoing connection before the server listens on it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable

from tests.entry_points import ROOT


def _of_the_cluster() -> Callable[[], int]:
    """``free_port`` of infra/local/ray_cluster.py, which is a script and on nobody's path."""
    spec = importlib.util.spec_from_file_location("_ray_cluster_of_tests", ROOT / "infra/local/ray_cluster.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.free_port


free_port = _of_the_cluster()
