"""Topics and payload types that belong to two domains."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ampybus_contract.contract import Contract
from ampybus_contract.contract.yaml_source import Source
from ampybus_contract.errors import SpecProblem

TOKEN = re.compile(r"[a-z][a-z0-9_]*")


def topic_problems(sources: Mapping[str, list[Source]], contract: Contract) -> Iterator[SpecProblem]:
    """What makes one topic or one payload type two domains' own.

    A topic names its domain in a token, so two domains share topics only where they share the name, which
    the loader refuses, or where a name is no plain token: two that differ in case alone share topics where
    case does not count, and a name with a dot or a wildcard takes in others' topics. A payload type or an
    old name in two domains leaves open whose key and rules an envelope follows.
    """
    owners: dict[str, str] = {}
    for source in sources["domain"]:
        name = source.data["domain"]
        if not TOKEN.fullmatch(name):
            fix = "use lower-case letters, digits and underscores"
            yield source.problem("/domain", "one lower-case token", repr(name), fix)
        for kind in ("payloads", "aliases"):
            for fqdn in source.data[kind]:
                owner = owners.setdefault(fqdn, name)
                if owner != name:
                    got = f"{fqdn}, also in {owner}"
                    yield source.problem(
                        f"/{kind}/{fqdn}", "a type of one domain", got, "keep it in one of them"
                    )
        for alias, fqdn in source.data["aliases"].items():
            if fqdn not in contract.domains[name].payloads:
                yield source.problem(
                    f"/aliases/{alias}", "a payload type of the domain", repr(fqdn), "list it under payloads"
                )
