-- Statements are parted by empty lines, and each may be done again: this engine has no transactions over them.

-- The log: saves and notices. A transaction takes its number behind the gate, so that numbers have gaps (rolled back) but
-- no reader who has waited at the gate meets a lower one later.
CREATE TABLE IF NOT EXISTS {commit_log} (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
  header longblob NOT NULL,
  -- NULL for a notice, for a pack that was reclaimed, and for a body in parts.
  body longblob,
  body_id varchar(40),
  -- For the notice of a removal: how many mementos it removed.
  removals bigint,
  -- A notice's own number, without a gap.
  notice bigint,
  -- For a pack that was reclaimed: the SHA-256 of its header, which until then the body authenticated.
  header_digest varchar(43),
  KEY body_id (body_id)
) {options};

-- Parts of bodies that are too large for one value; written in the transaction of their commit.
CREATE TABLE IF NOT EXISTS {body_part} (
  body_id varchar(40) NOT NULL,
  number int NOT NULL,
  content longblob NOT NULL,
  PRIMARY KEY (body_id, number)
) {options};

-- Where each memento lies. Its id is timeline-sequence-nonce; all else that is known of it stands in its commit's header.
CREATE TABLE IF NOT EXISTS {memento} (
  timeline varchar(20) NOT NULL,
  sequence bigint NOT NULL,
  nonce varchar(20) NOT NULL,
  commit_id bigint NOT NULL,
  slot int NOT NULL,
  -- The commit of the notice that removed it; 0 while it is live.
  removed_by bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (timeline, sequence),
  KEY commit_slot (commit_id, slot)
) {options};

CREATE TABLE IF NOT EXISTS {timeline} (
  ordinal bigint NOT NULL AUTO_INCREMENT UNIQUE,
  timeline varchar(20) NOT NULL PRIMARY KEY,
  -- SHA-256 over caretaker, originator, partition and fork.
  address varchar(43) NOT NULL UNIQUE,
  caretaker varchar(255) NOT NULL,
  originator text NOT NULL,
  partition_key text NOT NULL,
  fork text NOT NULL,
  kind varchar(40) NOT NULL,
  created varchar(40) NOT NULL,
  forked_from varchar(60),
  record_check varchar(64) NOT NULL,
  lease_epoch bigint NOT NULL,
  lease_owner text,
  lease_expires_at bigint NOT NULL,
  -- JSON.
  lease_holder text,
  lease_check varchar(64) NOT NULL,
  request varchar(20) CHECK (request IN ('pause')),
  head_sequence bigint NOT NULL DEFAULT 0,
  head_id varchar(60),
  head_check varchar(64)
) {options};

-- Names of live mementos.
CREATE TABLE IF NOT EXISTS {memento_name} (
  caretaker varchar(255) NOT NULL,
  name varchar(255) NOT NULL,
  memento varchar(60) NOT NULL,
  PRIMARY KEY (caretaker, name),
  KEY memento (memento)
) {options};

CREATE TABLE IF NOT EXISTS {caretaker} (
  name varchar(255) NOT NULL PRIMARY KEY,
  created varchar(40) NOT NULL,
  version bigint NOT NULL,
  policy longtext NOT NULL,
  record_check varchar(64) NOT NULL
) {options};

CREATE TABLE IF NOT EXISTS {wrapped_key} (
  ordinal bigint NOT NULL AUTO_INCREMENT UNIQUE,
  id varchar(100) NOT NULL PRIMARY KEY,
  purpose varchar(20) NOT NULL CHECK (purpose IN ('data', 'integrity')),
  sharing_group text NOT NULL,
  ring text NOT NULL,
  wrapped text NOT NULL,
  created varchar(40) NOT NULL,
  state varchar(20) NOT NULL CHECK (state IN ('active', 'retired', 'dropped'))
) {options};

-- The store's own facts: one row, written when the store is made.
CREATE TABLE IF NOT EXISTS {store} (
  one int NOT NULL PRIMARY KEY CHECK (one = 1),
  format int NOT NULL,
  id varchar(100) NOT NULL,
  sealed int NOT NULL CHECK (sealed IN (0, 1)),
  created varchar(40) NOT NULL,
  record_check varchar(64) NOT NULL,
  -- How many notices the log has, so that one that went missing at its end is found.
  notices bigint NOT NULL DEFAULT 0
) {options};

-- Whoever numbers a commit shares this row until the end of the transaction; who reads the log past a gap waits for all of them.
CREATE TABLE IF NOT EXISTS {gate} (one int NOT NULL PRIMARY KEY) {options};

INSERT IGNORE INTO {gate} (one) VALUES (1);

-- Which of these files were applied.
CREATE TABLE IF NOT EXISTS {migration} (version int NOT NULL PRIMARY KEY) {options};
