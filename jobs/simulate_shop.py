"""Simulates a shop whose truth is known: landing files like anyone's, and the truth in a folder of its own.

    python jobs/simulate_shop.py --members 20000 --days 280 --seed 1 --set folder=var/simulated
    python jobs/simulate_shop.py --members 2000 --faults --set folder=var/faulty --set processes=1
    python jobs/simulate_shop.py --members 2000 --days 287 --nights 7 --set folder=var/nightly

The same seed tells the same story in any number of partitions and processes; the first 90 days of 120 are the 90.
``conf/sources/simulated.yaml`` maps the landing files; `--set source.data=var/simulated/landing` names them.
"""

from __future__ import annotations

from tenure.config.command import Flag, command
from tenure.simulation.registers import campaign_id
from tenure.simulation.settings import SimulateShop
from tenure.simulation.simulate import simulate

FLAGS = (
    Flag("--members", "members", "how many members ever join"),
    Flag("--days", "days", "how many days to simulate"),
    Flag("--nights", "nights", "how many of the last days land in a folder of their own each, FOLDER/nights/DAY"),
    Flag("--start", "start", "first day, as in 2025-01-01"),
    Flag("--seed", "seed", "which of all possible shops"),
    Flag("--faults", "faults.strength", "inject faults, and tell the truth about each; 1 if no strength is given", "1"),
)


def run(config: SimulateShop) -> None:
    outcome = simulate(config)
    for feed, rows in sorted(outcome.rows.items()):
        print(f"{feed:>16} {rows:>12,} rows")
    for day, ceiling in sorted(outcome.ceilings.given_hidden.items()):
        history = outcome.ceilings.given_history[day]
        share = ceiling.silent / max(ceiling.members, 1)
        print(
            f"day {day}: {ceiling.members:,} members at risk, {share:.1%} will be silent;"
            f" best AUC {ceiling.auc:.4f}, without seeing who left {history.auc:.4f}"
        )
    for number, campaign in sorted(outcome.comparisons.items()):
        print(
            f"{campaign_id(number)}: addressed {campaign.treated:,} of {campaign.members:,}, who spent"
            f" {campaign.naive:+.2f} {config.currency} by the others; the campaign did {campaign.true:+.2f} a member"
        )
    print(outcome.speed)


if __name__ == "__main__":
    command(SimulateShop, run, says=__doc__, config="conf/jobs/simulate_shop.yaml", flags=FLAGS)
