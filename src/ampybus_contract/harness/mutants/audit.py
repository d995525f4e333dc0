"""Bindings that keep bad sessions, or find nothing in them."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.sessions import Damage, damages, seal
from ampybus_contract.contract import Contract
from ampybus_contract.envelope.digest import sha256_of
from ampybus_contract.harness.mutants.build import Mutant

OMITTED = 4


class KeepsOtherwise(ReferenceBinding):
    """Writes another session than the right one."""

    def otherwise(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The records that it writes."""
        return rows

    async def capture(self, pattern: str, session: Path) -> None:
        await super().capture(pattern, session)
        head, *rows = [json.loads(line) for line in session.read_text().splitlines()]
        rows = self.otherwise(rows)
        for number, row in enumerate(rows, 1):
            row["number"] = number
            row["seal"] = seal(row)
        head["records"] = len(rows)
        session.write_text("".join(json.dumps(row) + "\n" for row in (head, *rows)))


class DropsRun(KeepsOtherwise):
    """Keeps no run_id."""

    def otherwise(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in rows:
            row["headers"].pop("run_id", None)
        return rows


class HashesSentBytes(KeepsOtherwise):
    """Hashes payloads as they were sent."""

    def otherwise(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in rows:
            sent = base64.b64decode(row["payload"])
            row["payload_hash"] = sha256_of(sent)
        return rows


class OmitsRecord(KeepsOtherwise):
    """Keeps all records but one, and numbers them as if there were no more."""

    def otherwise(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return rows[: OMITTED - 1] + rows[OMITTED:]


class LooksAtSizes(ReferenceBinding):
    """Takes a record for right when it is as long as before."""

    async def audit(self, session: Path) -> Sequence[tuple[str, int]]:
        return [item for item in damages(session) if item.damage != Damage.TAMPERED]


class CountsNothing(ReferenceBinding):
    """Looks at each record for itself."""

    async def audit(self, session: Path) -> Sequence[tuple[str, int]]:
        return [item for item in damages(session) if item.damage == Damage.TAMPERED]


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("drops run_id", "AUD-01", DropsRun),
        Mutant("hashes compressed bytes", "AUD-02", HashesSentBytes),
        Mutant("compares sizes only", "AUD-03", LooksAtSizes),
        Mutant("omits one record", "AUD-04", OmitsRecord),
        Mutant("counts no records", "AUD-04", CountsNothing),
    ]
