-- The embedded store. Instants are INTEGER epoch milliseconds; codes are those of the enums in src/domain.
-- 'TLNE': tells a Touchline database from any other SQLite file.
PRAGMA application_id = 1414284869;

-- One row: who this database is, how many begins it has seen, and the fencing number of its sender.
CREATE TABLE meta (
  id             INTEGER PRIMARY KEY CHECK (id = 1),
  store_uuid     TEXT    NOT NULL,
  ledger_seq     INTEGER NOT NULL DEFAULT 0,
  fence          INTEGER NOT NULL DEFAULT 0,
  held           INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),
  acquired_at    INTEGER,
  -- The contactability change log is kept from here on; whoever read before reads again.
  change_floor   INTEGER NOT NULL DEFAULT 0,
  last_run       INTEGER NOT NULL DEFAULT 0,
  last_rehearsal INTEGER NOT NULL DEFAULT 0
);
INSERT INTO meta (id, store_uuid) VALUES (1, lower(hex(randomblob(16))));

CREATE TABLE customer (
  id             INTEGER PRIMARY KEY,
  reference      TEXT    NOT NULL UNIQUE,
  phone          TEXT,
  email          TEXT,
  push           TEXT,
  timezone       TEXT,
  language       TEXT,
  branch         TEXT,
  rm             TEXT,
  attributes     TEXT    NOT NULL DEFAULT '{}',
  contactability INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE intake (
  key           TEXT    PRIMARY KEY,
  rows_read     INTEGER NOT NULL,
  accepted      INTEGER NOT NULL,
  filtered      INTEGER NOT NULL,
  rejected      INTEGER NOT NULL,
  duplicates    INTEGER NOT NULL,
  rejects_bytes INTEGER NOT NULL,
  done          INTEGER NOT NULL CHECK (done IN (0, 1))
) WITHOUT ROWID;

CREATE TABLE list (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  name      TEXT    NOT NULL,
  opened_at INTEGER NOT NULL,
  members   INTEGER NOT NULL DEFAULT 0,
  checksum  TEXT    NOT NULL DEFAULT '',
  frozen_at INTEGER,
  CHECK ((frozen_at IS NULL) = (checksum = ''))
);
CREATE UNIQUE INDEX list_by_name ON list (name);

CREATE TABLE list_member (
  list_id     INTEGER NOT NULL,
  customer_id INTEGER NOT NULL,
  PRIMARY KEY (list_id, customer_id)
) WITHOUT ROWID;

-- The whole row is the key: the same record twice is a duplicate, and nothing is ever overwritten.
CREATE TABLE consent (
  customer_id INTEGER NOT NULL,
  channel     INTEGER NOT NULL CHECK (channel BETWEEN 1 AND 5),
  purpose     INTEGER NOT NULL CHECK (purpose BETWEEN 0 AND 2),
  at          INTEGER NOT NULL,
  state       INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),
  source      TEXT    NOT NULL,
  PRIMARY KEY (customer_id, channel, purpose, at, state, source)
) WITHOUT ROWID;

-- channel 0: all channels; until 253402300799000 (the end of year 9999): for ever.
CREATE TABLE suppression (
  customer_id INTEGER NOT NULL,
  channel     INTEGER NOT NULL CHECK (channel BETWEEN 0 AND 5),
  at          INTEGER NOT NULL,
  until       INTEGER NOT NULL,
  why         TEXT    NOT NULL,
  source      TEXT    NOT NULL,
  lapsed      INTEGER NOT NULL DEFAULT 0 CHECK (lapsed IN (0, 1)),
  PRIMARY KEY (customer_id, channel, at, until, why, source)
) WITHOUT ROWID;
CREATE INDEX suppression_to_lapse ON suppression (until) WHERE lapsed = 0 AND until < 253402300799000;

-- Whose packed contactability changed, in order: a begin reads again only customers that changed since its page.
CREATE TABLE contactability_change (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  customer_id INTEGER NOT NULL
);

CREATE TABLE route (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);

CREATE TABLE campaign (
  id                INTEGER PRIMARY KEY,
  name              TEXT    NOT NULL,
  rehearsal         INTEGER NOT NULL CHECK (rehearsal IN (0, 1)),
  version           INTEGER NOT NULL CHECK (version >= 1),
  source            TEXT    NOT NULL,
  hash              TEXT    NOT NULL,
  status            INTEGER NOT NULL CHECK (status BETWEEN 0 AND 5),
  wanted            INTEGER NOT NULL DEFAULT 0 CHECK (wanted BETWEEN 0 AND 2),
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

CREATE TABLE campaign_history (
  n           INTEGER PRIMARY KEY AUTOINCREMENT,
  campaign_id INTEGER NOT NULL,
  status      INTEGER NOT NULL,
  by          TEXT    NOT NULL,
  why         TEXT    NOT NULL,
  at          INTEGER NOT NULL,
  reason      INTEGER
);
CREATE INDEX campaign_history_of ON campaign_history (campaign_id, n);

CREATE TABLE wave (
  campaign_id INTEGER NOT NULL,
  due_at      INTEGER NOT NULL,
  fired_at    INTEGER,
  left_over   INTEGER,
  PRIMARY KEY (campaign_id, due_at)
) WITHOUT ROWID;

CREATE TABLE rule (
  campaign_id INTEGER NOT NULL,
  no          INTEGER NOT NULL,
  preset      TEXT    NOT NULL,
  name        TEXT    NOT NULL,
  text        TEXT    NOT NULL,
  source      TEXT    NOT NULL,
  PRIMARY KEY (campaign_id, no)
) WITHOUT ROWID;

CREATE TABLE campaign_tally (
  campaign_id INTEGER NOT NULL,
  tally       INTEGER NOT NULL,
  key         INTEGER NOT NULL,
  n           INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, tally, key)
) WITHOUT ROWID;

-- The ledger, clustered by customer: a contact cap across campaigns is a range scan, and a campaign that walks its list in
-- customer order inserts in key order. No secondary index covers a column that the ordinary touch (insert Started, update to
-- Reached) passes through: such an index costs ten times the write (docs/performance.md).
CREATE TABLE touch (
  customer_id  INTEGER NOT NULL,
  campaign_id  INTEGER NOT NULL,
  seq          INTEGER NOT NULL CHECK (seq >= 0),
  step         INTEGER NOT NULL CHECK (step >= 0),
  attempt      INTEGER NOT NULL CHECK (attempt >= 0),
  channel      INTEGER CHECK (channel BETWEEN 1 AND 5),
  route_id     INTEGER,
  variant      INTEGER NOT NULL CHECK (variant BETWEEN 0 AND 255),
  state        INTEGER NOT NULL CHECK (state IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)),
  reason       INTEGER NOT NULL,
  rule         INTEGER NOT NULL CHECK (rule >= 0),
  due_at       INTEGER,
  started_at   INTEGER,
  ended_at     INTEGER,
  connected_s  INTEGER NOT NULL CHECK (connected_s >= 0),
  cost_micros  INTEGER NOT NULL,
  parts        INTEGER NOT NULL CHECK (parts >= 0),
  flags        INTEGER NOT NULL CHECK (flags >= 0),
  agenda       TEXT,
  provider_ref TEXT,
  PRIMARY KEY (customer_id, campaign_id, seq),
  -- Scheduled: it has a due time and was not sent.
  CHECK (state <> 1 OR (due_at IS NOT NULL AND started_at IS NULL)),
  -- Started, reached, missed, uncertain: its sending stands (State::stands), on a channel.
  CHECK (state NOT IN (2, 3, 4, 6) OR (started_at IS NOT NULL AND channel IS NOT NULL)),
  -- Refused, suppressed, held out, expired, cancelled: it was never sent, or given back.
  CHECK (state NOT IN (5, 7, 8, 9, 10) OR started_at IS NULL),
  -- Reasons are of the kind that the state asks for (domain::outcome::Reason).
  CHECK (CASE state WHEN 3 THEN reason BETWEEN 1 AND 99 WHEN 4 THEN reason BETWEEN 1 AND 99 WHEN 5 THEN reason BETWEEN 200 AND 299
           WHEN 6 THEN reason BETWEEN 40 AND 99 WHEN 7 THEN reason BETWEEN 100 AND 119 WHEN 8 THEN reason = 120
           WHEN 9 THEN reason BETWEEN 300 AND 399 WHEN 10 THEN reason BETWEEN 100 AND 399 ELSE reason BETWEEN 0 AND 999 END)
) WITHOUT ROWID;
CREATE INDEX touch_scheduled ON touch (campaign_id, step, due_at) WHERE state = 1;
CREATE INDEX touch_uncertain ON touch (campaign_id) WHERE state = 6;

-- Touches committed Started together and not all settled yet; members is a delta-encoded list (store/sqlite/batches.rs).
CREATE TABLE touch_batch (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  fence       INTEGER NOT NULL,
  campaign_id INTEGER NOT NULL,
  opened_at   INTEGER NOT NULL,
  members     BLOB    NOT NULL
);

-- Touches by the provider's name for them. deadline NULL: no receipt is waited for any more, but a late one may still correct.
CREATE TABLE awaiting (
  route_id     INTEGER NOT NULL,
  provider_ref TEXT    NOT NULL,
  customer_id  INTEGER NOT NULL,
  campaign_id  INTEGER NOT NULL,
  seq          INTEGER NOT NULL,
  deadline     INTEGER,
  PRIMARY KEY (route_id, provider_ref)
) WITHOUT ROWID;
CREATE INDEX awaiting_deadline ON awaiting (deadline) WHERE deadline IS NOT NULL;

CREATE TABLE receipt (
  id           INTEGER PRIMARY KEY,
  route_id     INTEGER NOT NULL,
  provider_ref TEXT    NOT NULL,
  customer_id  INTEGER,
  campaign_id  INTEGER,
  seq          INTEGER,
  at           INTEGER NOT NULL,
  said         TEXT    NOT NULL,
  applied      INTEGER NOT NULL CHECK (applied IN (0, 1))
);
CREATE INDEX receipt_of_touch ON receipt (customer_id, campaign_id, seq) WHERE customer_id IS NOT NULL;

CREATE TABLE fact (
  id           INTEGER PRIMARY KEY,
  kind         TEXT    NOT NULL,
  fact_ref     TEXT    NOT NULL,
  customer_id  INTEGER NOT NULL,
  product      TEXT,
  amount_minor INTEGER NOT NULL,
  currency     TEXT    NOT NULL,
  at           INTEGER NOT NULL,
  UNIQUE (kind, fact_ref)
);
CREATE INDEX fact_of_customer ON fact (customer_id, kind, at);

-- seq -1: a customer of the holdout, counted and never credited.
CREATE TABLE credit (
  fact_id      INTEGER NOT NULL,
  campaign_id  INTEGER NOT NULL,
  rule         TEXT    NOT NULL,
  seq          INTEGER NOT NULL CHECK (seq >= -1),
  customer_id  INTEGER NOT NULL,
  amount_minor INTEGER NOT NULL,
  currency     TEXT    NOT NULL,
  at           INTEGER NOT NULL,
  PRIMARY KEY (fact_id, campaign_id, rule, seq)
) WITHOUT ROWID;
CREATE INDEX credit_of_campaign ON credit (campaign_id, customer_id, fact_id);
-- A rule's credits are replaced over several calls: those that have come wait here until the last call makes them visible.
CREATE TABLE credit_waiting (
  fact_id      INTEGER NOT NULL,
  campaign_id  INTEGER NOT NULL,
  rule         TEXT    NOT NULL,
  seq          INTEGER NOT NULL CHECK (seq >= -1),
  customer_id  INTEGER NOT NULL,
  amount_minor INTEGER NOT NULL,
  currency     TEXT    NOT NULL,
  at           INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, rule, fact_id, seq)
) WITHOUT ROWID;

CREATE TABLE export (
  number        INTEGER PRIMARY KEY AUTOINCREMENT,
  campaign_id   INTEGER,
  what          TEXT,
  manifest_hash TEXT,
  corrects      INTEGER,
  as_of         INTEGER,
  row_count     INTEGER,
  CHECK ((campaign_id IS NULL) = (manifest_hash IS NULL))
);
CREATE INDEX export_of_campaign ON export (campaign_id, number) WHERE campaign_id IS NOT NULL;
