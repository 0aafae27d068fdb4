"""Rows that travel between workers: gloo on CPU and NCCL on GPU by the same code, nothing at all in one process.

Row i of a divided table belongs to worker ``i % size``, as its row ``i // size``.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from tenure.training.group import Group, is_together


def total(values: Tensor, group: Group) -> Tensor:
    """The sum over all workers, on the CPU."""
    if not is_together():
        return values
    summed = values.to(group.device, copy=True)
    dist.all_reduce(summed)
    return summed.cpu()


def gathered_rows(own: Tensor, rows: int, group: Group) -> Tensor:
    """(rows, D) the whole of a divided table, from each worker's (n, D) part."""
    if not is_together():
        return own[:rows]
    height = -(-rows // group.size)
    padded = own.new_zeros(height, own.shape[1])
    padded[: len(own)] = own
    everyone = own.new_empty(group.size * height, own.shape[1])
    dist.all_gather_into_tensor(everyone, padded)
    return everyone.view(group.size, height, -1).transpose(0, 1).reshape(group.size * height, -1)[:rows]


def deal(rows: Tensor, to: Tensor, group: Group) -> Tensor:
    """What the others dealt to this worker: row i of ``rows`` goes to worker ``to[i]``."""
    if not is_together():
        return rows
    order = torch.argsort(to, stable=True)
    giving = torch.bincount(to, minlength=group.size).to(group.device)
    taking = torch.empty_like(giving)
    dist.all_to_all_single(taking, giving)
    given = rows[order].to(group.device)
    taken = given.new_empty(int(taking.sum()), rows.shape[1])
    dist.all_to_all_single(taken, given, taking.tolist(), giving.tolist())
    return taken.cpu()
