"""What a campaign did, and what comparing the addressed with the others would say of it.

Where a campaign is randomised the two agree but for chance; where it is targeted at spenders, the comparison mistakes
who was chosen for what was done (Rubin 1974).
"""

from __future__ import annotations

from dataclasses import dataclass

from tenure.simulation.chance import Flags, Floats


@dataclass
class Comparison:
    """Sums over members who could be addressed; money in major units, in the measured days."""

    members: int = 0
    treated: int = 0
    effect: float = 0.0  # spend with the campaign less spend without it
    spend_of_treated: float = 0.0
    spend_of_others: float = 0.0

    @classmethod
    def of(cls, is_treated: Flags, spend_with: Floats, spend_without: Floats) -> Comparison:
        return cls(
            members=len(is_treated),
            treated=int(is_treated.sum()),
            effect=float((spend_with - spend_without).sum()),
            spend_of_treated=float(spend_with[is_treated].sum()),
            spend_of_others=float(spend_without[~is_treated].sum()),
        )

    def add(self, other: Comparison) -> None:
        self.members += other.members
        self.treated += other.treated
        self.effect += other.effect
        self.spend_of_treated += other.spend_of_treated
        self.spend_of_others += other.spend_of_others

    @property
    def true(self) -> float:
        """Mean effect on a member."""
        return self.effect / max(self.members, 1)

    @property
    def naive(self) -> float:
        """Mean spend of the addressed less that of the others."""
        others = self.members - self.treated
        return self.spend_of_treated / max(self.treated, 1) - self.spend_of_others / max(others, 1)
