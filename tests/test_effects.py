"""Effects are remembered up to the limit, and in a file also by the next process."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ampybus_contract.bindings.effects import EffectStore, MemoryEffects, SqliteEffects

LIMIT = 4


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> EffectStore:
    makers: dict[str, Callable[[], EffectStore]] = {
        "memory": lambda: MemoryEffects(LIMIT),
        "sqlite": lambda: SqliteEffects(tmp_path / "effects.sqlite", LIMIT),
    }
    made = makers[request.param]()
    request.addfinalizer(made.close)
    return made


def test_an_effect_is_known_by_each_of_its_names_in_its_group(store: EffectStore) -> None:
    store.mark("one", ["id", "key"])
    assert [store.seen("one", [name]) for name in ("id", "key", "other")] == [True, True, False]
    assert store.seen("one", ["other", "key"])
    assert not store.seen("two", ["id"])


def test_the_oldest_names_are_forgotten_first(store: EffectStore) -> None:
    for name in "abcdef":
        store.mark("group", [name])
    assert [store.seen("group", [name]) for name in "abcdef"] == [False, False, True, True, True, True]


def test_a_file_outlives_its_store(tmp_path: Path) -> None:
    path = tmp_path / "effects.sqlite"
    before = SqliteEffects(path, LIMIT)
    before.mark("group", ["id"])
    after = SqliteEffects(path, LIMIT)
    assert after.seen("group", ["id"])
    for store in (before, after):
        store.close()


def test_effects_of_one_turn_share_a_transaction_and_are_written_when_told(tmp_path: Path) -> None:
    path = tmp_path / "effects.sqlite"
    store = SqliteEffects(path, 100)
    begun: list[str] = []
    store.connection.set_trace_callback(lambda text: begun.append(text) if text == "BEGIN" else None)

    async def main() -> None:
        await asyncio.gather(*(store.remember("group", [name]) for name in "abc"))

    asyncio.run(main())
    after = SqliteEffects(path, 100)
    assert [after.seen("group", [name]) for name in "abc"] == [True] * 3
    assert begun == ["BEGIN"]
    for each in (store, after):
        each.close()


def test_a_failed_transaction_is_told_to_all_who_wait(tmp_path: Path) -> None:
    store = SqliteEffects(tmp_path / "effects.sqlite", LIMIT)
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    store.connection.execute(f"PRAGMA max_page_count = {pages}")

    async def main() -> list[object]:
        long = ["x" * 10_000 + name for name in "ab"]
        waits = [store.remember("group", [name]) for name in long]
        return list(await asyncio.gather(*waits, return_exceptions=True))

    assert [type(found) for found in asyncio.run(main())] == [sqlite3.OperationalError] * 2
    assert not store.seen("group", ["a"])
    store.close()
