"""Scores over HTTP by hand: FastAPI in one process, the whole shop's tensors in memory.

    python -m benchmarks.answers_by_hand FOLDER PORT

``FOLDER`` holds ``answers.pt``: a network, and the batch of every member at the newest ``as_of``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks import machine
from benchmarks.batches_by_hand import taken
from tenure.privacy.pseudonyms import member_key


class Asked(BaseModel):
    member_ids: list[str]


def app(folder: Path) -> FastAPI:
    torch.set_num_threads(machine.cores())
    held = torch.load(folder / "answers.pt", weights_only=False)  # written by this very benchmark
    network, rows, secret = held["network"].eval(), held["rows"], held["secret"]
    place = {int(key): number for number, key in enumerate(rows.ids[:, 0].tolist())}
    answers = FastAPI()

    @answers.get("/readyz")
    def ready() -> dict[str, bool]:
        return {"is_ready": True}

    @answers.post("/v1/churn:predict")
    def churn(asked: Asked) -> dict[str, list[dict[str, object]]]:
        at = torch.tensor([place[member_key(one, secret)] for one in asked.member_ids])
        with torch.inference_mode():
            scores = torch.sigmoid(network(taken(rows, at)).logit).tolist()
        named = zip(asked.member_ids, scores, strict=True)
        return {"answers": [{"member_id": one, "score": score} for one, score in named]}

    return answers


if __name__ == "__main__":
    uvicorn.run(app(Path(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
