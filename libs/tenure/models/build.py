"""Every network by its name. A new one is its settings, its builder, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tenure.config.settings import Settings, checked
from tenure.errors import WrongInput
from tenure.models.inputs import Inputs
from tenure.models.linear import LogisticRegression, logistic_regression
from tenure.models.member_encoder import MemberEncoder, member_encoder
from tenure.models.network import Network

NETWORKS: dict[str, tuple[type[Settings], Callable[..., Network]]] = {
    "logistic_regression": (LogisticRegression, logistic_regression),
    "member_encoder": (MemberEncoder, member_encoder),
}


def architecture_of(name: str, architecture: Mapping[str, Any]) -> Settings:
    """The settings of the network ``name``, checked.

    Raises:
        WrongInput: if there is no such network, or it has no such setting.
    """
    if name not in NETWORKS:
        raise WrongInput(f"no model {name!r}; there are {', '.join(NETWORKS)}")
    return checked(NETWORKS[name][0], architecture, where=f"architecture of {name}")


def build(name: str, architecture: Mapping[str, Any], inputs: Inputs) -> Network:
    """An untrained network for these inputs.

    Raises:
        WrongInput: if there is no such network, or it has no such setting.
    """
    settings = architecture_of(name, architecture)
    return NETWORKS[name][1](settings, inputs)
