-- Four eyes: drafts, approvals that sign more than the file, revisions of runs under way, emergency stops.
-- SQLite cannot widen a CHECK: the table is made anew (more statuses, the revision that a run follows) and its rows are moved, numbers kept.
CREATE TABLE campaign_wider (
  id                INTEGER PRIMARY KEY,
  name              TEXT    NOT NULL,
  rehearsal         INTEGER NOT NULL CHECK (rehearsal IN (0, 1)),
  version           INTEGER NOT NULL CHECK (version >= 1),
  revision          INTEGER NOT NULL DEFAULT 0 CHECK (revision >= 0),
  source            TEXT    NOT NULL,
  hash              TEXT    NOT NULL,
  status            INTEGER NOT NULL CHECK (status BETWEEN 0 AND 8),
  wanted            INTEGER NOT NULL DEFAULT 0 CHECK (wanted BETWEEN 0 AND 2),
  -- 0 in a draft (status 6), which has no audience yet.
  audience_list     INTEGER NOT NULL,
  list              INTEGER NOT NULL,
  audience          INTEGER NOT NULL,
  checksum          TEXT    NOT NULL,
  currency          TEXT    NOT NULL,
  purpose           INTEGER CHECK (purpose BETWEEN 0 AND 2),
  cursor            INTEGER NOT NULL DEFAULT 0,
  stop_reason       INTEGER,
  called_off_reason INTEGER,
  called_off_at     INTEGER,
  submitted_at      INTEGER NOT NULL,
  started_at        INTEGER,
  finished_at       INTEGER,
  CHECK ((id < 0) = (rehearsal = 1)),
  CHECK ((called_off_reason IS NULL) = (called_off_at IS NULL)),
  UNIQUE (name, rehearsal, version)
);
INSERT INTO campaign_wider (id, name, rehearsal, version, source, hash, status, wanted, audience_list, list, audience, checksum, currency, purpose,
    cursor, stop_reason, called_off_reason, called_off_at, submitted_at, started_at, finished_at)
  SELECT id, name, rehearsal, version, source, hash, status, wanted, audience_list, list, audience, checksum, currency, purpose,
    cursor, stop_reason, called_off_reason, called_off_at, submitted_at, started_at, finished_at FROM campaign;
DROP TABLE campaign;
ALTER TABLE campaign_wider RENAME TO campaign;

-- Every text that a run has had before its approval. Whoever wrote one is an author, and cannot approve.
CREATE TABLE campaign_text (
  campaign_id INTEGER NOT NULL,
  n           INTEGER NOT NULL CHECK (n >= 1),
  source      TEXT    NOT NULL,
  hash        TEXT    NOT NULL,
  by          TEXT    NOT NULL,
  at          INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, n)
) WITHOUT ROWID;
-- Of runs that are there already: the file, by whoever handed it in.
INSERT INTO campaign_text (campaign_id, n, source, hash, by, at)
  SELECT c.id, 1, c.source, c.hash,
    coalesce((SELECT h.by FROM campaign_history h WHERE h.campaign_id = c.id ORDER BY h.n LIMIT 1), ''), c.submitted_at FROM campaign c;

-- parts: what the seal is made of, as JSON (domain::seal::Parts). revision 0: the file as it was handed in.
CREATE TABLE approval (
  n           INTEGER PRIMARY KEY AUTOINCREMENT,
  campaign_id INTEGER NOT NULL,
  revision    INTEGER NOT NULL CHECK (revision >= 0),
  seal        TEXT    NOT NULL,
  parts       TEXT    NOT NULL,
  alone       INTEGER NOT NULL CHECK (alone IN (0, 1)),
  by          TEXT    NOT NULL,
  why         TEXT    NOT NULL,
  at          INTEGER NOT NULL,
  void_at     INTEGER,
  void_why    TEXT    NOT NULL DEFAULT '',
  CHECK ((void_at IS NULL) = (void_why = ''))
);
CREATE INDEX approval_of ON approval (campaign_id, n);

-- rules and authors are JSON arrays.
CREATE TABLE revision (
  campaign_id  INTEGER NOT NULL,
  number       INTEGER NOT NULL CHECK (number >= 1),
  source       TEXT    NOT NULL,
  hash         TEXT    NOT NULL,
  seal         TEXT    NOT NULL,
  rules        TEXT    NOT NULL,
  authors      TEXT    NOT NULL,
  submitted_at INTEGER NOT NULL,
  approved_by  TEXT,
  approved_at  INTEGER,
  taken_at     INTEGER,
  status       INTEGER NOT NULL CHECK (status BETWEEN 0 AND 3),
  PRIMARY KEY (campaign_id, number),
  CHECK ((approved_by IS NULL) = (approved_at IS NULL)),
  CHECK (status NOT IN (1, 2) OR approved_at IS NOT NULL),
  CHECK ((status = 2) = (taken_at IS NOT NULL))
) WITHOUT ROWID;
-- At most one of a run waits for its approval, or to be taken up.
CREATE UNIQUE INDEX revision_waiting ON revision (campaign_id) WHERE status IN (0, 1);

-- restarts: JSON array of who, why and when. At most one stop of a run is not lifted.
CREATE TABLE emergency (
  n           INTEGER PRIMARY KEY AUTOINCREMENT,
  campaign_id INTEGER NOT NULL,
  by          TEXT    NOT NULL,
  why         TEXT    NOT NULL,
  at          INTEGER NOT NULL,
  restarts    TEXT    NOT NULL DEFAULT '[]',
  lifted_at   INTEGER
);
CREATE UNIQUE INDEX emergency_open ON emergency (campaign_id) WHERE lifted_at IS NULL;
