"""``python -m ampybus_contract.benchmark``: validators beside their peers, checkers as histories grow."""

from __future__ import annotations

import argparse
import operator
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ampybus_contract.benchmark.histories import growth
from ampybus_contract.benchmark.patterns import costs
from ampybus_contract.benchmark.peers import peers
from ampybus_contract.benchmark.rounds import medians_us
from ampybus_contract.benchmark.simulation import rates
from ampybus_contract.benchmark.steadiness import runs_alike
from ampybus_contract.benchmark.traffic import archive_lines, envelopes
from ampybus_contract.contract import Contract, default_contract
from ampybus_contract.envelope.registry import message_type
from ampybus_contract.exit_codes import CONFORMANT, FINDINGS
from ampybus_contract.validation import Validator

BATCH_ITEMS = 100


def main(arguments: list[str] | None = None) -> int:
    """Run one measurement and print its table; nothing is asserted."""
    parser = argparse.ArgumentParser(prog="python -m ampybus_contract.benchmark", description=__doc__)
    commands = parser.add_subparsers(required=True)
    table = commands.add_parser("validators", help="compare with the peers that are installed")
    table.add_argument("--count", type=int, default=2000, help="distinct envelopes in a round")
    table.add_argument("--rounds", type=int, default=31)
    table.set_defaults(run=_validators)
    archive = commands.add_parser("archive", help="write a JSON-lines archive of valid envelopes")
    archive.add_argument("file", type=Path)
    archive.add_argument("--count", type=int, default=1_000_000)
    archive.add_argument("--invalid-every", type=int, default=0, help="let every Nth envelope lack a header")
    archive.set_defaults(run=_archive)
    histories = commands.add_parser("histories", help="judge recorded histories of growing length")
    histories.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    histories.set_defaults(run=_histories)
    simulation = commands.add_parser("simulation", help="play and judge schedules of the simulation")
    simulation.add_argument("--count", type=int, default=200)
    simulation.add_argument("--messages", type=int, default=100)
    simulation.set_defaults(run=_simulation)
    patterns = commands.add_parser("patterns", help="what patterns cost on hostile texts as they grow")
    patterns.add_argument("--rounds", type=int, default=5)
    patterns.set_defaults(run=_patterns)
    bindings = commands.add_parser("bindings", help="compare the bindings with raw clients")
    bindings.add_argument("--broker", choices=["nats", "kafka"], default="nats")
    bindings.add_argument("--count", type=int, default=5000, help="messages that each publishes in a round")
    bindings.add_argument("--rounds", type=int, default=7)
    bindings.set_defaults(run=_bindings)
    memory = commands.add_parser("memory", help="show the memory of a binding over many messages")
    memory.add_argument("--broker", choices=["nats", "kafka"], default="nats")
    memory.add_argument("--count", type=int, default=1_000_000)
    memory.set_defaults(run=_memory)
    steadiness = commands.add_parser("steadiness", help="judge a binding again and again")
    steadiness.add_argument("--runs", type=int, default=50)
    steadiness.add_argument("--busy", type=int, default=10, help="how many of them with every core busy")
    steadiness.add_argument("options", nargs="*", help="what pytest takes, after --")
    steadiness.set_defaults(run=_steadiness)
    options = parser.parse_args(arguments)
    code: int = options.run(options)
    return code


def _archive(options: argparse.Namespace) -> int:
    with options.file.open("w", encoding="utf-8") as stream:
        for line in archive_lines(options.count, default_contract(), options.invalid_every):
            stream.write(line + "\n")
    return CONFORMANT


def _histories(options: argparse.Namespace) -> int:
    growth(options.counts)
    return CONFORMANT


def _simulation(options: argparse.Namespace) -> int:
    rates(options.count, options.messages)
    return CONFORMANT


def _patterns(options: argparse.Namespace) -> int:
    costs(options.rounds)
    return CONFORMANT


def _bindings(options: argparse.Namespace) -> int:
    from ampybus_contract.benchmark.bindings import compare  # noqa: PLC0415  needs the brokers' extras

    compare(options.broker, default_contract(), options.count, options.rounds)
    return CONFORMANT


def _memory(options: argparse.Namespace) -> int:
    from ampybus_contract.benchmark.bindings import memory  # noqa: PLC0415  needs the brokers' extras

    memory(options.broker, default_contract(), options.count)
    return CONFORMANT


def _steadiness(options: argparse.Namespace) -> int:
    return CONFORMANT if runs_alike(options.runs, options.busy, options.options) else FINDINGS


def _validators(options: argparse.Namespace) -> int:
    contract = default_contract()
    _headers_table(contract, options.count, options.rounds)
    print()
    _payload_table(contract, options.count, options.rounds)
    return CONFORMANT


def _headers_table(contract: Contract, count: int, rounds: int) -> None:
    traffic = list(envelopes(count, contract))
    plain = [(dict(envelope.headers),) for envelope in traffic]
    own = Validator(contract)
    contenders: dict[str, Any] = {_OWN: (own.fast.clean, [(envelope, False) for envelope in traffic])}
    missing = []
    for name, judge in peers(contract):
        if judge is None:
            missing.append(name)
        else:
            contenders[name] = (judge, plain)
    for call, calls in contenders.values():
        for arguments in calls * 2:
            call(*arguments)
    found = medians_us(contenders, rounds)
    base = found.get("jsonschema-rs", found[_OWN])
    print(f"Header set of a valid envelope; {count} distinct envelopes, median of {rounds} rounds")
    print(f"{'':50}{'us':>9}{'to jsonschema-rs':>18}")
    for name, cost in sorted(found.items(), key=lambda item: item[1]):
        print(f"{name:50}{cost:9.2f}{cost / base:18.2f}")
    for name in missing:
        print(f"{name:50}{'not installed':>18}")


_OWN = "ampybus-contract: topic, headers, cross-field"


def _payload_table(contract: Contract, count: int, rounds: int) -> None:
    own = Validator(contract)
    kinds = {
        "one bar": (1, list(envelopes(count, contract))),
        "one order": (1, list(envelopes(count, contract, domain="orders"))),
        f"{BATCH_ITEMS} bars": (
            BATCH_ITEMS,
            list(envelopes(max(count // BATCH_ITEMS, 10), contract, items=BATCH_ITEMS)),
        ),
    }
    contenders: dict[str, Any] = {}
    for name, (_, traffic) in kinds.items():
        parse = message_type(traffic[0].headers["schema_fqdn"])
        assert parse is not None
        for envelope in traffic * 2:
            own.findings(envelope)
        judges = [own.fast.payload_judge(item) for item in traffic]
        for part, functions in (
            ("decode", [_decode_alone(parse.FromString)] * len(traffic)),
            ("compare", judges),
        ):
            contenders[f"{name}/{part}"] = (
                operator.call,
                [
                    (function, item.payload, item.headers.plain)
                    for function, item in zip(functions, traffic, strict=True)
                ],
            )
        contenders[f"{name}/whole"] = own.fast.clean, [(item,) for item in traffic]
    found = medians_us(contenders, rounds)
    print("Payload of a valid envelope, us per item: decode alone; decode and compare; the whole envelope")
    print(f"{'':14}{'decode':>10}{'+ compare':>12}{'ratio':>10}{'whole':>10}")
    for name, (items, _) in kinds.items():
        alone, compared, whole = (found[f"{name}/{part}"] for part in ("decode", "compare", "whole"))
        print(
            f"{name:14}{alone / items:10.2f}{compared / items:12.2f}"
            f"{compared / alone:10.2f}{whole / items:10.2f}"
        )


def _decode_alone(parse: Callable[[bytes], object]) -> Callable[[bytes, object], object]:
    """Decoding, called as comparing is, so that the call costs both the same."""
    return lambda payload, headers: parse(payload)


if __name__ == "__main__":
    sys.exit(main())
