#!/usr/bin/env python3
"""How far the memory model is off: predictions against numbers of public logs, one line a quantity.

    benchmarks/memory.py POINTS.jsonl [--verbose]

A point is one start-up: {"vllm_version", "engine", "model", "gpu", "gpu_total_gib", "flags": {…, "_assumed": {…}},
"observed": {…}}. `flags` use vLLM's names (tp and pp for the parallel sizes); `_assumed` are defaults that the log did
not print. What has no card, or lacks what a prediction needs, is counted.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from qvl_doctor.knowledge.releases import newest, parse
from qvl_doctor.memory import gpus, kv, model_cards
from qvl_doctor.memory.budget import plan, plans
from qvl_doctor.memory.gpus import Gpu
from qvl_doctor.memory.model_cards import Card
from qvl_doctor.memory.quants import METHODS
from qvl_doctor.memory.settings import Settings, resolve
from qvl_doctor.memory.units import GIB
from qvl_doctor.memory.weights import weights

Point = Mapping[str, Any]

#: Smaller pools are printed too coarsely to test a prediction: two decimals of a GiB.
_SMALLEST_POOL = 0.5
#: Flags of a point that are settings under another name.
_FLAGS = {
    "max_model_len": "max_model_len",
    "max_num_seqs": "max_num_seqs",
    "max_num_batched_tokens": "max_num_batched_tokens",
    "gpu_memory_utilization": "utilization",
    "kv_cache_dtype": "kv_cache_dtype",
    "enforce_eager": "eager",
    "limit_mm": "limits",
    "mm_processor_kwargs": "processor",
    "block_size": "block_size",
    "dtype": "dtype",
    "tp": "tp",
    "pp": "pp",
}


@dataclass
class Table:
    """Relative errors by quantity, with what they are about."""

    rows: dict[str, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    missing: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, quantity: str, predicted: float, observed: float | None, about: str) -> None:
        if observed and math.isfinite(observed):
            self.rows[quantity].append(
                ((predicted - observed) / abs(observed), f"{about}  {predicted:.4g} for {observed:.4g}")
            )


@dataclass(frozen=True)
class Case:
    """A point with everything that a prediction starts from."""

    point: Point
    card: Card
    gpu: Gpu
    settings: Settings
    set_flags: frozenset[str]

    @property
    def observed(self) -> Mapping[str, Any]:
        return self.point.get("observed") or {}

    @property
    def name(self) -> str:
        return str(self.point["model"])

    @property
    def groups(self) -> Iterator[str]:
        """The tables that this point counts in, beside the one of all."""
        yield self.settings.engine
        yield _card_class(self.gpu)
        if self.card.shape.vision:
            yield "vision"


def main() -> int:
    """Reads the points, predicts them and prints the errors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("points", help="a file with one point a line")
    parser.add_argument("--verbose", action="store_true", help="the eight worst points of each quantity")
    options = parser.parse_args()
    with open(options.points, encoding="utf-8") as file:
        points = [json.loads(line) for line in file if line.strip()]
    table, vision, graphs = Table(), [], Table()
    within: list[bool] = []
    for point in points:
        case = _case(point, table)
        if case is None:
            continue
        try:
            found, first = list(predictions(case)), plans(case.card.shape, case.settings, case.gpu)[0]
        except (ValueError, TypeError, KeyError, ArithmeticError) as error:
            table.missing[f"numbers: {error}"].append(case.name)
            continue
        for quantity, predicted, seen in found:
            table.add(quantity, predicted, seen, case.name)
            for group in case.groups:
                table.add(f"{quantity} [{group}]", predicted, seen, case.name)
            if case.card.shape.vision:
                vision.append((point, quantity, predicted, seen))
            if quantity == "KV GiB end to end" and seen:
                within.append(abs(predicted - seen) <= first.error / GIB)
        graphs.add("CUDA graphs", first.graphs / GIB, case.observed.get("cudagraph_gib"), case.name)
    print(f"{len(points)} points, {sum(map(len, table.missing.values()))} of them not predicted")
    _print_errors(table, options.verbose)
    print(f"\nKV GiB end to end within the plan's own error band: {sum(within)} of {len(within)}")
    print("\nrough, for the error band only")
    _print_errors(graphs, verbose=False)
    _print_vision(vision)
    _print_missing(table)
    return 0


def _case(point: Point, table: Table) -> Case | None:
    """What a prediction starts from, or None with the reason noted."""
    name = str(point.get("model") or "")
    if point.get("model_inferred"):
        table.missing["model inferred from its sizes: it cannot test them"].append(name)
        return None
    if "rank-1 line" in str(point.get("note") or ""):
        table.missing["a line of a rank that does not sample"].append(name)
        return None
    card = model_cards.find(name)
    if card is None:
        table.missing["no card of this model"].append(name)
        return None
    release = parse(str(point.get("vllm_version") or "").lstrip("~")) or newest()
    flags = dict(point.get("flags") or {})
    flags.update(flags.pop("_assumed", None) or {})
    gpu = _gpu(point)
    given = {ours: flags[theirs] for theirs, ours in _FLAGS.items() if flags.get(theirs) is not None}
    quantization = str(flags.get("quantization") or "")
    known = quantization if quantization in METHODS and quantization != "fp8" else card.quantization or quantization
    try:
        settings = resolve(card.shape, gpu, release, engine=point.get("engine") or "", quantization=known, **given)
        weights(card.shape, settings)
    except (ValueError, TypeError, KeyError) as error:
        table.missing[f"settings: {error}"].append(name)
        return None
    return Case(point, card, gpu, settings, frozenset(flags))


def _gpu(point: Point) -> Gpu:
    total, name = point.get("gpu_total_gib"), str(point.get("gpu") or "")
    found = gpus.find(name)
    if found and total:
        return found._replace(total_bytes=int(float(total) * GIB))
    return found or gpus.of_size(float(total or 0), name)


def predictions(case: Case) -> Iterator[tuple[str, float, float | None]]:
    """Every quantity of a point that its log shows and its flags allow to predict: name, prediction, observation."""
    seen, shape, settings = case.observed, case.card.shape, case.settings
    known_method = not settings.quantization or settings.quantization in METHODS
    if known_method and seen.get("weights_gib"):
        kind = "quantized" if settings.quantization else "16-bit"
        yield f"weights GiB, {kind}", weights(shape, settings).allocated / GIB, seen["weights_gib"]
    pool_gib = seen.get("kv_cache_gib") or 0
    if pool_gib > _SMALLEST_POOL:
        yield from _of_the_pool(case, pool_gib)
    if not (case.set_flags & {"max_num_batched_tokens"} or (settings.engine == "V0" and _long_enough(case))):
        return
    made = plans(shape, settings, case.gpu)[0]  # logs are those of rank 0
    yield "activation GiB", made.activation / GIB, seen.get("activation_peak_gib")
    sized = (
        case.gpu.total_bytes and not case.gpu.shared and not (case.gpu.nominal and not case.point.get("gpu_total_gib"))
    )
    if sized and "gpu_memory_utilization" in case.set_flags and known_method and abs(pool_gib) > _SMALLEST_POOL:
        yield "KV GiB end to end", made.kv / GIB, pool_gib
        yield "KV tokens end to end", plan(shape, settings, case.gpu).pool.tokens, seen.get("kv_cache_tokens")


def _long_enough(case: Case) -> bool:
    """V0 takes its batch from the length, so a known length is a known batch.

    The number of sequences is a default of the release.
    """
    return "max_model_len" in case.set_flags


def _of_the_pool(case: Case, pool_gib: float) -> Iterator[tuple[str, float, float | None]]:
    """What follows from an observed pool."""
    seen, shape, settings = case.observed, case.card.shape, case.settings
    if seen.get("for_tokens"):
        settings = settings._replace(max_model_len=seen["for_tokens"])
    held = kv.pool(shape, settings, pool_gib * GIB)
    yield "KV tokens from KV GiB", held.tokens, seen.get("kv_cache_tokens")
    yield "KV blocks from KV GiB", held.blocks, seen.get("num_gpu_blocks")
    yield "concurrency from KV GiB", held.concurrency, seen.get("max_concurrency")
    if seen.get("num_gpu_blocks"):
        yield "KV bytes a block", kv.block_bytes(shape, settings), pool_gib * GIB / seen["num_gpu_blocks"]


def _card_class(gpu: Gpu) -> str:
    if not gpu.total_bytes:
        return "card unknown"
    for limit in (17, 26, 50, 100):
        if gpu.total_gib < limit:
            names = {17: "up to 16 GB", 26: "22 to 24 GB", 50: "32 to 48 GB", 100: "80 to 96 GB"}
            return names[limit]
    return "141 GB and more"


def _print_errors(table: Table, verbose: bool) -> None:
    print(f"{'quantity':54s} {'n':>4s} {'median %':>9s} {'p95 %':>8s} {'max %':>8s}")
    for quantity in sorted(table.rows, key=lambda name: ("[" in name, name.partition("[")[2], name)):
        errors = sorted(abs(error) for error, _ in table.rows[quantity])
        p95 = errors[min(len(errors) - 1, math.ceil(0.95 * len(errors)) - 1)]
        print(
            f"{quantity:54s} {len(errors):4d} {100 * statistics.median(errors):9.3f} {100 * p95:8.2f} {100 * errors[-1]:8.2f}"
        )
    if verbose:
        for quantity in sorted(name for name in table.rows if "[" not in name):
            print(f"\n{quantity}")
            for error, about in sorted(table.rows[quantity], key=lambda row: -abs(row[0]))[:8]:
                print(f"  {100 * error:+8.2f} %  {about}")


def _print_vision(rows: list[tuple[Point, str, float, float | None]]) -> None:
    print("\nvision models, point by point")
    for point, quantity, predicted, seen in rows:
        if seen:
            error = 100 * (predicted - seen) / abs(seen)
            assumed = " (assumed flags)" if (point.get("flags") or {}).get("_assumed") else ""
            about = f"{point['model']}, vLLM {point.get('vllm_version')}{assumed}"
            print(f"  {error:+8.2f} %  {quantity:24s} {predicted:12.4g} for {seen:<12.6g} {about}")


def _print_missing(table: Table) -> None:
    for reason, names in sorted(table.missing.items()):
        print(f"\nnot predicted, {len(names)}: {reason}")
        print("  " + ", ".join(sorted(set(names))))


if __name__ == "__main__":
    sys.exit(main())
