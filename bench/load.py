"""Load over HTTP: client processes started together, their reports summed."""

import os
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Final

from bench.client import Spec, Told
from bench.measure import Meter, Sample
from bench.pipes import child
from bench.results import WrongResult

CLIENTS: Final = max(1, (os.cpu_count() or 1) // 2)  # the servers need the others


def load(spec: Spec, meter: Meter) -> tuple[Sample, Told]:
    """Post as `spec` says; return the sample, a piece being an event, and the sums.

    Raises WrongResult if one request was not answered with 2xx.
    """
    many = max(1, min(CLIENTS, spec.connections))
    shares = [
        replace(
            spec,
            name=f"{spec.name}-{number}",
            connections=spec.connections // many + (number < spec.connections % many),
            seed=spec.seed + number,
        )
        for number in range(many)
    ]
    with ExitStack() as stack:
        clients = [stack.enter_context(child("bench.client")) for _ in shares]
        for client, share in zip(clients, shares, strict=True):
            client.asked(asdict(share))
        before = meter.cpu()
        for client in clients:
            client.say("go")
        told = _sum([Told(**client.told()) for client in clients])
        used = meter.cpu() - before
    if told.refused:
        raise WrongResult(
            f"{len(told.refused)} requests were refused: {told.refused[0]}"
        )
    # Our own process only waited.
    cpu = replace(used, own=0.0)
    sample = Sample(told.events, told.seconds, cpu, told.latencies_ms, told.cpu_s)
    return sample, told


def _sum(parts: list[Told]) -> Told:
    return Told(
        requests=sum(p.requests for p in parts),
        events=sum(p.events for p in parts),
        entering=sum(p.entering for p in parts),
        refused=[r for p in parts for r in p.refused],
        seconds=max(p.seconds for p in parts),
        cpu_s=sum(p.cpu_s for p in parts),
        latencies_ms=[v for p in parts for v in p.latencies_ms],
    )
