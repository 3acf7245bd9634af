-- The worklist: tasks for relationship managers, their histories, the roster, and where customers left off.
CREATE TABLE task (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  -- What the task is made for: making it again changes nothing.
  key            TEXT    NOT NULL UNIQUE,
  kind           INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 3),
  customer_id    INTEGER NOT NULL,
  touch_campaign INTEGER,
  touch_seq      INTEGER CHECK (touch_seq >= 0),
  title          TEXT    NOT NULL,
  language       TEXT,
  skill          TEXT,
  -- 9 less the priority, so that every list is read forwards in one index: urgency, due_at, id.
  urgency        INTEGER NOT NULL CHECK (urgency BETWEEN 0 AND 9),
  wanted_rm      TEXT,
  branch         TEXT,
  due_at         INTEGER NOT NULL,
  expires_at     INTEGER,
  made_at        INTEGER NOT NULL,
  version        INTEGER NOT NULL CHECK (version >= 1),
  state          INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),
  -- On whose list; empty: nobody's.
  rm             TEXT    NOT NULL DEFAULT '',
  assigned_at    INTEGER,
  claimed_by     TEXT,
  lease_until    INTEGER,
  reminded_at    INTEGER,
  escalated_at   INTEGER,
  wakes_at       INTEGER,
  disposition    INTEGER CHECK (disposition BETWEEN 1 AND 99),
  connected_s    INTEGER NOT NULL DEFAULT 0 CHECK (connected_s >= 0),
  next_contact   INTEGER,
  result_at      INTEGER,
  closed_at      INTEGER,
  -- The ledger knows what became of the touch that this closed task carried out.
  told           INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1)),
  -- Personal data, searched by nothing.
  script         TEXT,
  notes          TEXT,
  CHECK ((touch_campaign IS NULL) = (touch_seq IS NULL)),
  CHECK ((state = 1) = (claimed_by IS NOT NULL AND lease_until IS NOT NULL)),
  CHECK ((state = 2) = (disposition IS NOT NULL)),
  CHECK ((disposition IS NULL) = (result_at IS NULL)),
  CHECK ((state IN (2, 3, 4)) = (closed_at IS NOT NULL))
);
-- A list is asked for by state and read in this order; several states are merged.
CREATE INDEX task_by_state ON task (state, urgency, due_at, id);
CREATE INDEX task_of_rm ON task (rm, state, urgency, due_at, id);
CREATE INDEX task_of_branch ON task (branch, state, urgency, due_at, id);
CREATE INDEX task_unassigned ON task (branch, state, urgency, due_at, id) WHERE rm = '';
CREATE INDEX task_of_customer ON task (customer_id, state);
CREATE INDEX task_assigned ON task (rm, assigned_at) WHERE assigned_at IS NOT NULL;
CREATE INDEX task_wakes ON task (wakes_at, id) WHERE wakes_at IS NOT NULL;
CREATE INDEX task_of_journeys ON task (id) WHERE touch_campaign IS NOT NULL AND state IN (0, 1);
CREATE INDEX task_untold ON task (id) WHERE touch_campaign IS NOT NULL AND told = 0 AND state IN (2, 3, 4);

CREATE TABLE task_event (
  n       INTEGER PRIMARY KEY AUTOINCREMENT,
  task_id INTEGER NOT NULL,
  what    TEXT    NOT NULL,
  by      TEXT    NOT NULL,
  why     TEXT    NOT NULL,
  at      INTEGER NOT NULL
);
CREATE INDEX task_event_of ON task_event (task_id, n);

-- languages, skills and leaves are JSON lists.
CREATE TABLE rm (
  reference      TEXT    PRIMARY KEY CHECK (reference <> ''),
  branch         TEXT,
  languages      TEXT    NOT NULL,
  skills         TEXT    NOT NULL,
  daily_capacity INTEGER NOT NULL CHECK (daily_capacity >= 0),
  gone           INTEGER NOT NULL CHECK (gone IN (0, 1)),
  leaves         TEXT    NOT NULL
) WITHOUT ROWID;

CREATE TABLE checkpoint (
  customer_id INTEGER NOT NULL,
  name        TEXT    NOT NULL,
  step        TEXT    NOT NULL,
  left_on     TEXT    NOT NULL,
  at          INTEGER NOT NULL,
  closed      INTEGER NOT NULL CHECK (closed IN (0, 1)),
  -- Personal data, searched by nothing.
  detail      TEXT    NOT NULL,
  PRIMARY KEY (customer_id, name)
) WITHOUT ROWID;
