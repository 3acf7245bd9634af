-- Contacts reported from outside, holds of relationship managers, and customers' wishes to be called.

-- The house's own runs, one a purpose: contacts that happened outside every campaign are touches of these. Their lists stay open
-- and grow with every customer of whom a contact is reported, in the same transaction as the run's audience.
CREATE TABLE house_run (
  purpose     INTEGER PRIMARY KEY CHECK (purpose BETWEEN 0 AND 2),
  campaign_id INTEGER NOT NULL UNIQUE,
  list_id     INTEGER NOT NULL UNIQUE
);

-- The report that rules for each contact (domain::reported); its touch has the same content.
CREATE TABLE reported_contact (
  source      TEXT    NOT NULL,
  reference   TEXT    NOT NULL,
  customer_id INTEGER NOT NULL,
  campaign_id INTEGER NOT NULL,
  seq         INTEGER NOT NULL CHECK (seq >= 0),
  channel     INTEGER NOT NULL CHECK (channel BETWEEN 1 AND 5),
  purpose     INTEGER NOT NULL CHECK (purpose BETWEEN 0 AND 2),
  started_at  INTEGER NOT NULL,
  disposition INTEGER NOT NULL CHECK (disposition BETWEEN 1 AND 39),
  connected_s INTEGER NOT NULL CHECK (connected_s >= 0),
  at          INTEGER NOT NULL,
  by          TEXT    NOT NULL,
  PRIMARY KEY (source, reference)
) WITHOUT ROWID;
CREATE INDEX reported_contact_of ON reported_contact (customer_id);

-- The log of holds; until 0: lifted. The whole row is the key: the same entry twice changes nothing.
CREATE TABLE contact_hold (
  customer_id INTEGER NOT NULL,
  at          INTEGER NOT NULL,
  until       INTEGER NOT NULL CHECK (until >= 0),
  by          TEXT    NOT NULL,
  why         TEXT    NOT NULL,
  PRIMARY KEY (customer_id, at, until, by, why)
) WITHOUT ROWID;

-- What is wished now, by the newest word of its source; wanted_at NULL: cancelled. settled 0: its task is still to be brought in line.
CREATE TABLE callback_wish (
  source      TEXT    NOT NULL,
  reference   TEXT    NOT NULL,
  customer_id INTEGER NOT NULL,
  wanted_at   INTEGER,
  zone        TEXT    NOT NULL,
  topic       TEXT    NOT NULL,
  at          INTEGER NOT NULL,
  by          TEXT    NOT NULL,
  settled     INTEGER NOT NULL CHECK (settled IN (0, 1)),
  task_id     INTEGER,
  PRIMARY KEY (source, reference)
) WITHOUT ROWID;
CREATE INDEX callback_wish_of ON callback_wish (customer_id);
CREATE INDEX callback_wish_unsettled ON callback_wish (at) WHERE settled = 0;
