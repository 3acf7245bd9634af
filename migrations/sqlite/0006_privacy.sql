-- Personal data: sealed at rest (src/store/sealing), found by keyed hashes, erased for good.
-- From here on customer.phone, email, push and attributes hold a BLOB when they are sealed. TEXT in them is from before, and is sealed by
-- `touchline keys rotate` or by the next change of the customer; attributes '{}' say nothing and stay as they are.
-- language, branch, rm and timezone stay open: customers are assigned, filtered and timed by them, and they name nobody.

-- One row: the database's own secret, sealed under the bank's key. Opening it is the check of the key; the blind index and the
-- tombstones are keyed by subkeys of it, and so outlive a rotation of the bank's key.
CREATE TABLE sealing (
  id     INTEGER PRIMARY KEY CHECK (id = 1),
  secret BLOB    NOT NULL
);

-- The blind index: 64 bits of a keyed hash of a normalised telephone number or e-mail address (each with a key of its own). A table
-- beside the customers, and not an index over them: a batch is written in the order of its hashes (docs/performance.md).
CREATE TABLE contact_hash (
  hash        INTEGER NOT NULL,
  customer_id INTEGER NOT NULL,
  PRIMARY KEY (hash, customer_id)
) WITHOUT ROWID;

-- Who was erased, when, by whom and why. The customer's row stays under a pseudonym, so that every sum stands.
CREATE TABLE erasure (
  customer_id INTEGER PRIMARY KEY,
  at          INTEGER NOT NULL,
  by          TEXT    NOT NULL,
  why         TEXT    NOT NULL
);

-- Keyed hashes of what an erased customer was known by: an import that brings it back is told so.
CREATE TABLE tombstone (
  mark        BLOB    NOT NULL,
  customer_id INTEGER NOT NULL,
  PRIMARY KEY (mark, customer_id)
) WITHOUT ROWID;
