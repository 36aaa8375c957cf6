-- The log: saves and notices in the order of their commits. Rows are never deleted, so a missing number is damage.
CREATE TABLE commit_log (
  id INTEGER PRIMARY KEY,
  header BLOB NOT NULL,
  -- NULL for a notice, and for a pack that was reclaimed.
  body BLOB,
  -- For the notice of a removal: how many mementos it removed.
  removals INTEGER,
  -- For a pack that was reclaimed: the SHA-256 of its header, which until then the body authenticated.
  header_digest TEXT
) STRICT;

-- Where each memento lies. Its id is timeline-sequence-nonce; all else that is known of it stands in its commit's header.
CREATE TABLE memento (
  timeline TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  nonce TEXT NOT NULL,
  commit_id INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  -- The commit of the notice that removed it; 0 while it is live.
  removed_by INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (timeline, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE timeline (
  ordinal INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  caretaker TEXT NOT NULL,
  originator TEXT NOT NULL,
  partition TEXT NOT NULL,
  fork TEXT NOT NULL,
  kind TEXT NOT NULL,
  created TEXT NOT NULL,
  forked_from TEXT,
  record_check TEXT NOT NULL,
  lease_epoch INTEGER NOT NULL,
  lease_owner TEXT,
  lease_expires_at INTEGER NOT NULL,
  -- JSON.
  lease_holder TEXT,
  lease_check TEXT NOT NULL,
  request TEXT CHECK (request IN ('pause')),
  head_sequence INTEGER NOT NULL DEFAULT 0,
  head_id TEXT,
  head_check TEXT,
  UNIQUE (caretaker, originator, partition, fork)
) STRICT;

-- Names of live mementos.
CREATE TABLE memento_name (
  caretaker TEXT NOT NULL,
  name TEXT NOT NULL,
  memento TEXT NOT NULL,
  PRIMARY KEY (caretaker, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE caretaker (
  name TEXT PRIMARY KEY,
  created TEXT NOT NULL,
  version INTEGER NOT NULL,
  policy TEXT NOT NULL,
  record_check TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE wrapped_key (
  ordinal INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  purpose TEXT NOT NULL CHECK (purpose IN ('data', 'integrity')),
  sharing_group TEXT NOT NULL,
  ring TEXT NOT NULL,
  wrapped TEXT NOT NULL,
  created TEXT NOT NULL
) STRICT;

-- The store's own facts: one row, written when the store is made.
CREATE TABLE store (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  format INTEGER NOT NULL,
  id TEXT NOT NULL,
  sealed INTEGER NOT NULL CHECK (sealed IN (0, 1)),
  created TEXT NOT NULL,
  record_check TEXT NOT NULL,
  -- The last commit that is a notice, so that one that went missing at the end of the log is found.
  last_notice INTEGER NOT NULL DEFAULT 0
) STRICT;
