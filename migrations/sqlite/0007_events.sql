-- What comes in from providers and other systems, and what goes out to them.

-- Receipts as they were posted, on disk before the answer; handed to the engine until it has them on record (table receipt).
CREATE TABLE inbox_receipt (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  route_id     INTEGER NOT NULL,
  provider_ref TEXT,
  customer_id  INTEGER,
  campaign_id  INTEGER,
  seq          INTEGER CHECK (seq >= 0),
  at           INTEGER NOT NULL,
  disposition  INTEGER NOT NULL CHECK (disposition BETWEEN 1 AND 99),
  connected_s  INTEGER NOT NULL CHECK (connected_s >= 0),
  cost_micros  INTEGER,
  received_at  INTEGER NOT NULL,
  -- Times handed over, and not before when it is handed over again.
  tries        INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0),
  next_at      INTEGER NOT NULL,
  applied      INTEGER NOT NULL DEFAULT 0 CHECK (applied IN (0, 1)),
  CHECK ((customer_id IS NULL) = (seq IS NULL) AND (customer_id IS NULL) = (campaign_id IS NULL)),
  CHECK (provider_ref IS NOT NULL OR customer_id IS NOT NULL)
);
CREATE INDEX inbox_receipt_open ON inbox_receipt (next_at, id) WHERE applied = 0;

-- Names of messages and events that were taken: one that comes again changes nothing.
CREATE TABLE seen_message (
  source TEXT    NOT NULL,
  id     TEXT    NOT NULL,
  at     INTEGER NOT NULL,
  PRIMARY KEY (source, id)
) WITHOUT ROWID;
CREATE INDEX seen_message_by_age ON seen_message (at);

-- What could not be read, or must be looked at by a person. raw is what was sent; it may hold personal data.
CREATE TABLE dead_letter (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  source      TEXT    NOT NULL,
  kind        INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 2),
  reason      TEXT    NOT NULL,
  raw         BLOB    NOT NULL,
  received_at INTEGER NOT NULL,
  closed_at   INTEGER,
  how         TEXT,
  CHECK ((closed_at IS NULL) = (how IS NULL))
);
CREATE INDEX dead_letter_open ON dead_letter (id) WHERE closed_at IS NULL;

-- What customers think of a contact, from 1 to 5; campaign_id and seq where a touch is named.
CREATE TABLE rating (
  source      TEXT    NOT NULL,
  event_id    TEXT    NOT NULL,
  customer_id INTEGER NOT NULL,
  campaign_id INTEGER,
  seq         INTEGER,
  rating      INTEGER NOT NULL CHECK (rating BETWEEN 1 AND 5),
  at          INTEGER NOT NULL,
  PRIMARY KEY (source, event_id)
) WITHOUT ROWID;
CREATE INDEX rating_of_campaign ON rating (campaign_id, rating);

-- Subscriptions. kinds: bits by code of domain::webhook::EventKind. sent: events up to this number are dealt with.
CREATE TABLE webhook (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  url           TEXT    NOT NULL,
  kinds         INTEGER NOT NULL CHECK (kinds BETWEEN 1 AND 31),
  campaign      TEXT,
  batched       INTEGER NOT NULL CHECK (batched IN (0, 1)),
  secret        TEXT    NOT NULL,
  by            TEXT    NOT NULL,
  made_at       INTEGER NOT NULL,
  sent          INTEGER NOT NULL,
  tries         INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0),
  failing_since INTEGER,
  next_at       INTEGER NOT NULL,
  disabled_at   INTEGER
);

-- Events to be told, written in the transaction that makes them true, and only while somebody subscribes to their kind. No contact details.
CREATE TABLE event_out (
  n           INTEGER PRIMARY KEY AUTOINCREMENT,
  kind        INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 4),
  at          INTEGER NOT NULL,
  campaign_id INTEGER,
  customer_id INTEGER,
  body        TEXT    NOT NULL
);

-- Rare rows tell themselves; touches and credits are told by the statements that write them (src/store/sqlite/outbox.rs).
CREATE TRIGGER tell_opted_out AFTER INSERT ON consent
WHEN NEW.state = 2 AND EXISTS (SELECT 1 FROM webhook WHERE kinds & 8)
BEGIN
  INSERT INTO event_out (kind, at, customer_id, body)
  VALUES (3, NEW.at, NEW.customer_id, json_object('channel', NEW.channel, 'purpose', NEW.purpose));
END;

CREATE TRIGGER tell_campaign_status AFTER INSERT ON campaign_history
WHEN NEW.campaign_id > 0 AND EXISTS (SELECT 1 FROM webhook WHERE kinds & 2)
  AND NEW.status IS NOT (SELECT h.status FROM campaign_history h WHERE h.campaign_id = NEW.campaign_id AND h.n < NEW.n ORDER BY h.n DESC LIMIT 1)
BEGIN
  INSERT INTO event_out (kind, at, campaign_id, body)
  VALUES (1, NEW.at, NEW.campaign_id, json_object('status', NEW.status, 'reason', NEW.reason));
END;

CREATE TRIGGER tell_task AFTER INSERT ON task_event
WHEN EXISTS (SELECT 1 FROM webhook WHERE kinds & 16)
BEGIN
  INSERT INTO event_out (kind, at, campaign_id, customer_id, body)
  SELECT 4, NEW.at, t.touch_campaign, t.customer_id, json_object('task', t.id, 'what', NEW.what, 'kind', t.kind) FROM task t WHERE t.id = NEW.task_id;
END;
