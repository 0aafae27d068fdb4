"""Asks a running service about members of the newest release, as a shop's own program would, and times it.

    python infra/local/ask_members.py --work var/demo --url http://127.0.0.1:8000

Writes WORK/logs/serving.json: how many requests, how many failed, the median in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import httpx
import pyarrow.compute as pc

from tenure.contracts.gold import member_features
from tenure.contracts.silver import MEMBER_IDENTITIES
from tenure.errors import Refused, TenureError
from tenure.lake.release import Release, newest_release
from tenure.privacy.secrets import SERVING_TOKEN, read_secret

ONE_BY_ONE = 60  # members, each asked for churn, for items and for the whole profile
MANY = 100  # members in one request, ten such


def requests(members: Sequence[str], rng: random.Random) -> Iterator[tuple[str, str, dict | None]]:
    """Method, path and body of each request."""
    for member in rng.sample(members, min(ONE_BY_ONE, len(members))):
        yield "POST", "/v1/churn:predict", {"member_ids": [member]}
        yield "POST", "/v1/recommendations:predict", {"member_ids": [member], "k": 10}
        yield "GET", f"/v1/members/{quote(member, safe='')}", None
    for _ in range(10):
        many = rng.sample(members, min(MANY, len(members)))
        yield "POST", "/v1/churn:predict", {"member_ids": many}
        yield "POST", "/v1/recommendations:predict", {"member_ids": many, "k": 10}


def ask(client: httpx.Client, asked: Iterator[tuple[str, str, dict | None]]) -> dict[str, float]:
    """Sends them one after the other.

    Returns:
        requests, errors (answers other than 200), and the median time to a whole answer in milliseconds.
    """
    milliseconds, errors = [], 0
    for method, path, body in asked:
        began = time.perf_counter()
        answer = client.request(method, path, json=body)
        milliseconds.append(1000 * (time.perf_counter() - began))
        if answer.status_code != 200:
            errors += 1
            # The sentence of an answer may name a member: the service's own log has it, by this id.
            request_id = answer.headers.get("x-request-id", "of an unknown id")
            print(f"{method} {path.split('/')[2]}: {answer.status_code}, request {request_id}", flush=True)
    return {"requests": len(milliseconds), "errors": errors, "p50_ms": round(statistics.median(milliseconds), 1)}


def known_members(release: Release) -> list[str]:
    """The shop's ids of those of whom there is something to say: a row that was quarantined names others, too."""
    at = f"as_of = DATE '{release.newest_as_of}'"
    known = release.read(member_features(release.shop), ["member_key"], where=at)["member_key"]
    ids = release.read(MEMBER_IDENTITIES, ["member_id", "member_key"], order_by=["member_id"])
    return ids.filter(pc.is_in(ids["member_key"], known.combine_chunks()))["member_id"].to_pylist()


def run(work: Path, url: str) -> None:
    release = newest_release(str(work / "lake"))
    members = known_members(release)
    headers = {"Authorization": f"Bearer {read_secret(SERVING_TOKEN, work / 'secrets')}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        figures = ask(client, requests(members, random.Random(0)))  # noqa: S311  no secret depends on it
    logs = work / "logs"
    logs.mkdir(exist_ok=True)
    (logs / "serving.json").write_text(json.dumps(figures, indent=1))
    print(f"{figures['requests']} requests, {figures['errors']} errors, median {figures['p50_ms']} ms")
    if figures["errors"]:
        raise Refused(
            f"{figures['errors']} of {figures['requests']} requests were not answered; their errors are above"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("var/demo"))
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    arguments = parser.parse_args()
    try:
        run(arguments.work, arguments.url)
    except TenureError as error:
        print(f"ask_members.py: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
