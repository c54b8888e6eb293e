"""The store's tables, and how a store of an older schema version becomes one of today's.

work: everything that the runner does, by id: a trial's key, ``grid:<dense key>``, ``inspect:<key>``,
``runtimes:<key>``, ``sensitivity:<dense key>`` or ``retime:<task>``; ``prefix``: the key of its first trained prefix,
so that two workers never train the same thing.
results: every finished point by its trial's key; preview = 1 marks a grid point seen on 1,000 images only.
changed: rises with every change of results, readings and removals, so that a reader fetches only what is new.
readings: latencies measured again: of shipped results here (by key), of any on other machines (<key>@<machine id>).
people: who has asked, with the name that they typed; ``turn`` counts what they were served (see engine.store).
marks: stars and notes, a row for each person and trial. removed: deleted results, so that readers forget them.
sweeps and sweep_trials: a named family of trials; its requests have the parent ``sweep:<id>``.
class_predictions: what each person predicted in each lesson, the latest. moments: when something last happened to all
(``class_cleared``). shown: what a person has seen to its end or skipped, such as the first visit.
"""

from __future__ import annotations

VERSION = 3

_WORK = """
CREATE TABLE work (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, task TEXT NOT NULL,
    body TEXT NOT NULL, dense_key TEXT NOT NULL, prefix TEXT NOT NULL DEFAULT '', after TEXT,
    test INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    attempt INTEGER NOT NULL DEFAULT 1, deaths INTEGER NOT NULL DEFAULT 0, error TEXT, created REAL NOT NULL);
CREATE INDEX work_state ON work (state);
CREATE INDEX work_after ON work (after) WHERE after IS NOT NULL;
CREATE INDEX work_prefix ON work (prefix, state) WHERE prefix != '';
CREATE TABLE requests (
    id TEXT NOT NULL REFERENCES work (id), who TEXT NOT NULL, parent TEXT NOT NULL, priority INTEGER NOT NULL,
    created REAL NOT NULL, withdrawn REAL, PRIMARY KEY (id, who, parent)) WITHOUT ROWID;
CREATE INDEX requests_parent ON requests (parent, who);
CREATE TABLE attempts (
    id TEXT NOT NULL REFERENCES work (id), attempt INTEGER NOT NULL, started REAL NOT NULL, ended REAL, reason TEXT,
    PRIMARY KEY (id, attempt)) WITHOUT ROWID;
CREATE TABLE progress (
    id TEXT PRIMARY KEY REFERENCES work (id), attempt INTEGER NOT NULL, body TEXT NOT NULL,
    at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
    id TEXT NOT NULL REFERENCES work (id), attempt INTEGER NOT NULL, sequence INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (id, attempt, sequence)) WITHOUT ROWID;
CREATE TABLE results (
    key TEXT PRIMARY KEY, task TEXT NOT NULL, origin TEXT NOT NULL, dense_key TEXT NOT NULL, preview INTEGER NOT NULL,
    body TEXT NOT NULL, created REAL NOT NULL, changed INTEGER NOT NULL);
CREATE INDEX results_changed ON results (changed);
CREATE INDEX results_dense ON results (dense_key);
CREATE TABLE predictions (key TEXT PRIMARY KEY REFERENCES results (key), shape TEXT NOT NULL, data BLOB NOT NULL);
CREATE TABLE readings (
    key TEXT PRIMARY KEY, task TEXT NOT NULL, body TEXT NOT NULL, created REAL NOT NULL, changed INTEGER NOT NULL);
"""

_PEOPLE = """
CREATE TABLE people (
    who TEXT PRIMARY KEY, name TEXT NOT NULL DEFAULT '', turn INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL, seen REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE marks (
    key TEXT NOT NULL, who TEXT NOT NULL, star INTEGER NOT NULL DEFAULT 0, note TEXT NOT NULL DEFAULT '',
    at REAL NOT NULL, PRIMARY KEY (key, who)) WITHOUT ROWID;
CREATE TABLE removed (key TEXT PRIMARY KEY, task TEXT NOT NULL, changed INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE sweeps (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, task TEXT NOT NULL, spec TEXT NOT NULL, who TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'paused', 'cancelled')), reason TEXT NOT NULL DEFAULT '',
    trials INTEGER NOT NULL, budget_seconds REAL, spent REAL NOT NULL DEFAULT 0, resumed REAL,
    created REAL NOT NULL);
CREATE TABLE sweep_trials (
    sweep TEXT NOT NULL REFERENCES sweeps (id), position INTEGER NOT NULL, key TEXT NOT NULL, setting TEXT NOT NULL,
    PRIMARY KEY (sweep, position)) WITHOUT ROWID;
CREATE INDEX sweep_trials_key ON sweep_trials (key)
"""

_CLASS = """
CREATE TABLE class_predictions (
    who TEXT NOT NULL, lesson TEXT NOT NULL, seed INTEGER NOT NULL, choice TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (who, lesson)) WITHOUT ROWID;
CREATE TABLE moments (name TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE shown (
    who TEXT NOT NULL, what TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (who, what)) WITHOUT ROWID
"""

SCHEMA = f"{_WORK}{_PEOPLE};{_CLASS}"

_TO_2 = """
CREATE TABLE new_work (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, task TEXT NOT NULL,
    body TEXT NOT NULL, dense_key TEXT NOT NULL, prefix TEXT NOT NULL DEFAULT '', after TEXT,
    test INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    attempt INTEGER NOT NULL DEFAULT 1, deaths INTEGER NOT NULL DEFAULT 0, error TEXT, created REAL NOT NULL);
INSERT INTO new_work (rowid, id, kind, task, body, dense_key, after, test, state, attempt, deaths, error, created)
    SELECT rowid, id, kind, task, body, dense_key, after, test, state, attempt, deaths, error, created FROM work;
DROP TABLE work;
ALTER TABLE new_work RENAME TO work;
CREATE INDEX work_state ON work (state);
CREATE INDEX work_after ON work (after) WHERE after IS NOT NULL;
CREATE INDEX work_prefix ON work (prefix, state) WHERE prefix != '';
""" + _PEOPLE + """;
INSERT INTO people (who, created, seen) SELECT who, min(created), max(created) FROM requests GROUP BY who
"""  # fmt: skip

# MIGRATIONS[n] turns a store of version n into one of version n + 1
MIGRATIONS: dict[int, str] = {1: _TO_2, 2: _CLASS}
