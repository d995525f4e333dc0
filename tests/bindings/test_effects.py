"""Effects are remembered up to the limit, and in a file also by the next process."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampybus_contract.bindings.effects import FORMAT, EffectStore, MemoryEffects, SqliteEffects, effect_names
from ampybus_contract.errors import EffectError

LIMIT = 4


def names(group: str, *identities: str) -> list[str]:
    return effect_names(group, identities)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> EffectStore:
    makers: dict[str, Callable[[], EffectStore]] = {
        "memory": lambda: MemoryEffects(LIMIT),
        "sqlite": lambda: SqliteEffects(tmp_path / "effects.sqlite", LIMIT),
    }
    made = makers[request.param]()
    request.addfinalizer(made.close)
    return made


def test_an_effect_is_known_by_each_of_its_names_in_its_group_at_once_and_once_kept(
    store: EffectStore,
) -> None:
    store.apply(names("one", "id", "key"))
    for _ in range(2):
        assert [store.seen(names("one", name)) for name in ("id", "key", "other")] == [
            True,
            True,
            False,
        ]
        assert store.seen(names("one", "other", "key"))
        assert not store.seen(names("two", "id"))
        assert not store.seen(names("one"))
        store.keep()


def test_the_oldest_names_are_forgotten_first(store: EffectStore) -> None:
    for name in "abcdef":
        store.apply(names("group", name))
        store.keep()
    assert [store.seen(names("group", name)) for name in "abcdef"] == [
        False,
        False,
        True,
        True,
        True,
        True,
    ]


def test_a_name_that_was_applied_again_is_as_new_as_that(store: EffectStore) -> None:
    for name in "abcade":
        store.apply(names("group", name))
        store.keep()
    assert [store.seen(names("group", name)) for name in "abcade"] == [
        True,
        False,
        True,
        True,
        True,
        True,
    ]


@given(st.lists(st.lists(st.integers(0, 20).map(str), max_size=6), max_size=12))
def test_at_least_the_newest_are_remembered_whatever_the_steps(steps: list[list[str]]) -> None:
    store = MemoryEffects(LIMIT)
    for step in steps:
        for name in step:
            store.apply(names("group", name))
        store.keep()
    newest = [name for step in steps for name in step][-LIMIT:]
    assert all(store.seen(names("group", name)) for name in newest)
    assert store.count < LIMIT + max([len(step) for step in steps if step], default=1)


def test_a_file_outlives_its_store_with_what_was_kept_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "effects.sqlite"
    before = SqliteEffects(path, LIMIT)
    before.apply(names("group", "kept"))
    before.keep()
    before.apply(names("group", "applied"))
    after = SqliteEffects(path, LIMIT)
    assert after.seen(names("group", "kept"))
    assert not after.seen(names("group", "applied"))
    for each in (before, after):
        each.close()


def test_the_limit_holds_in_the_file_too(tmp_path: Path) -> None:
    path = tmp_path / "effects.sqlite"
    before = SqliteEffects(path, LIMIT)
    for number in range(50):
        before.apply(names("group", str(number)))
        before.keep()
    (rows,) = before.connection.execute("SELECT count(*) FROM steps").fetchone()
    assert rows == LIMIT
    after = SqliteEffects(path, LIMIT)
    assert [number for number in range(50) if after.seen(names("group", str(number)))] == [
        46,
        47,
        48,
        49,
    ]
    for each in (before, after):
        each.close()


def test_what_another_process_keeps_is_seen_in_the_next_turn_of_the_loop(tmp_path: Path) -> None:
    path = tmp_path / "effects.sqlite"

    async def main() -> None:
        one, other = SqliteEffects(path, LIMIT), SqliteEffects(path, LIMIT)
        for store, name in ((other, "a"), (one, "b"), (other, "c")):
            store.apply(names("group", name))
            store.keep()
        await asyncio.sleep(0)
        for store in (one, other):
            assert all(store.seen(names("group", name)) for name in "abc")
            assert list(store.numbers) == [1, 2, 3]
            store.close()

    asyncio.run(main())


def test_a_turn_of_the_loop_asks_the_file_once(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteEffects(tmp_path / "effects.sqlite", LIMIT)
        asked: list[str] = []
        store.connection.set_trace_callback(asked.append)
        await asyncio.sleep(0)
        for turn in range(1, 4):
            for name in "abc":
                store.seen(names("group", name))
            assert asked == ["PRAGMA data_version"] * turn
            await asyncio.sleep(0)
        store.close()

    asyncio.run(main())


def test_what_was_applied_between_two_calls_is_one_transaction(tmp_path: Path) -> None:
    store = SqliteEffects(tmp_path / "effects.sqlite", 100)
    begun: list[str] = []
    store.connection.set_trace_callback(lambda text: begun.append(text) if "BEGIN" in text else None)
    for name in "abc":
        store.apply(names("group", name))
    store.keep()
    store.keep()
    assert len(begun) == 1
    store.close()


def test_a_failed_transaction_keeps_nothing_and_is_tried_again_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "effects.sqlite"
    store = SqliteEffects(path, LIMIT)
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    store.connection.execute(f"PRAGMA max_page_count = {pages}")
    long = ["x" * 10_000 + name for name in "ab"]
    store.apply(effect_names("group", long))
    for _ in range(2):
        with pytest.raises(EffectError, match=r"full.*Fix: see that the disk has room"):
            store.keep()
    other = SqliteEffects(path, LIMIT)
    assert not other.seen(effect_names("group", long))
    store.connection.execute("PRAGMA max_page_count = 1000")
    store.keep()
    assert other.seen(effect_names("group", long[:1]))
    assert other.seen(effect_names("group", long[1:]))
    for each in (store, other):
        each.close()


def test_names_that_are_no_text_for_others_are_kept_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "effects.sqlite"
    odd = ["\udcff", "a\nb", "\0", 'quo"te']
    before = SqliteEffects(path, LIMIT)
    before.apply(names("group", *odd))
    before.keep()
    after = SqliteEffects(path, LIMIT)
    assert all(after.seen(names("group", name)) for name in odd)
    for each in (before, after):
        each.close()


def test_a_file_of_another_format_is_not_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "effects.sqlite"
    old = sqlite3.connect(path)
    old.execute("CREATE TABLE effects (number INTEGER, consumer TEXT, name TEXT)")
    old.close()
    with pytest.raises(EffectError, match=rf"effects of format {FORMAT} in .*got those of format 1.*Fix:"):
        SqliteEffects(path, LIMIT)
    path.write_bytes(b"no database at all, but long enough to be looked at" * 10)
    with pytest.raises(EffectError, match="not a database"):
        SqliteEffects(path, LIMIT)


def test_what_was_applied_is_kept_when_the_file_is_closed(tmp_path: Path) -> None:
    store = SqliteEffects(tmp_path / "effects.sqlite", LIMIT)
    store.apply(names("group", "id"))
    store.close()
    later = SqliteEffects(tmp_path / "effects.sqlite", LIMIT)
    assert later.seen(names("group", "id"))
    later.close()


def test_a_file_that_cannot_be_written_any_more_is_closed_all_the_same(tmp_path: Path) -> None:
    store = SqliteEffects(tmp_path / "effects.sqlite", LIMIT)
    store.connection.execute("PRAGMA query_only = 1")
    store.apply(names("group", "id"))
    store.close()
    with pytest.raises(sqlite3.ProgrammingError):
        store.connection.execute("SELECT 1")
