-- Who may do what: tokens, the audit log, first answers.

CREATE TABLE token (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT    NOT NULL,
  roles      INTEGER NOT NULL CHECK (roles > 0),
  branch     TEXT,
  rm         TEXT,
  -- A JSON array of operation ids and sections; []: no bound of its own.
  scopes     TEXT    NOT NULL CHECK (json_valid(scopes)),
  hash       BLOB    NOT NULL CHECK (length(hash) = 32),
  made_by    TEXT    NOT NULL,
  made_at    INTEGER NOT NULL,
  expires_at INTEGER NOT NULL CHECK (expires_at > made_at),
  revoked_by TEXT,
  revoked_at INTEGER,
  used_at    INTEGER,
  CHECK ((revoked_by IS NULL) = (revoked_at IS NULL))
);

-- Only ever added to. Numbers have no gaps: the hash of each is over that of the one before.
CREATE TABLE audit (
  number    INTEGER PRIMARY KEY CHECK (number > 0),
  at        INTEGER NOT NULL,
  actor     TEXT    NOT NULL,
  token_id  INTEGER,
  operation TEXT    NOT NULL,
  target    TEXT    NOT NULL,
  outcome   TEXT    NOT NULL,
  hash      TEXT    NOT NULL CHECK (length(hash) = 64)
);
CREATE INDEX audit_of_actor ON audit (actor, number);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN
  SELECT raise(ABORT, 'the audit log is only added to');
END;
CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit BEGIN
  SELECT raise(ABORT, 'the audit log is only added to');
END;

-- Keys and requests are hashes; bodies are sealed with what only whoever knows the key can derive.
CREATE TABLE answer (
  key          BLOB    PRIMARY KEY CHECK (length(key) = 32),
  request      BLOB    NOT NULL CHECK (length(request) = 32),
  claimed_at   INTEGER NOT NULL,
  status       INTEGER,
  content_type TEXT,
  body         BLOB,
  CHECK ((status IS NULL) = (content_type IS NULL))
) WITHOUT ROWID;
CREATE INDEX answer_by_age ON answer (claimed_at);
