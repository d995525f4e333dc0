"""The files in which a binding keeps its state: SQLite, each with a format of its own."""

from __future__ import annotations

import sqlite3
from pathlib import Path


class FormatError(Exception):
    """A file has another format than the one that is written now."""


def open_state(path: Path | None, form: int, *tables: str) -> sqlite3.Connection:
    """Open a file, or memory where there is no path, and make its tables where they are not there.

    A killed process loses nothing that was committed. Raises FormatError, and sqlite3.DatabaseError where
    the file is none of SQLite's, cannot be written, or is held by another process for too long.
    """
    connection = sqlite3.connect(path or ":memory:", isolation_level=None)
    try:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        (made,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if made and found != form:
            raise FormatError(f"those of format {found or 1}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for table in tables:
                connection.execute(f"CREATE TABLE IF NOT EXISTS {table}")
            connection.execute(f"PRAGMA user_version = {form}")
    except BaseException:
        connection.close()
        raise
    return connection
