import type { DatabaseSync, StatementSync } from "node:sqlite";

const TIMELINE = `SELECT ordinal, key, caretaker, originator, partition, fork, kind, created, forked_from, record_check,
  lease_epoch, lease_owner, lease_expires_at, lease_holder, lease_check, request, head_sequence, head_id, head_check FROM timeline`;
const LEASE = "lease_epoch = ?, lease_owner = ?, lease_expires_at = ?, lease_holder = ?, lease_check = ?";
const PLACE = "m.sequence, m.nonce, m.commit_id, m.slot, m.removed_by, c.header, c.header_digest";
const PLACES = `SELECT ${PLACE}, length(c.body) AS body_bytes FROM memento m LEFT JOIN commit_log c ON c.id = m.commit_id`;
const COMMIT = "SELECT id, header, header_digest, length(body) AS body_bytes, removals FROM commit_log";
const KEY = "SELECT ordinal, id, purpose, sharing_group, ring, wrapped, created FROM wrapped_key";
const CARETAKER = "SELECT name, created, version, policy, record_check FROM caretaker";

const SQL = {
  begin: "BEGIN IMMEDIATE",
  commit: "COMMIT",
  savepoint: "SAVEPOINT one",
  release: "RELEASE one",
  rollbackTo: "ROLLBACK TO one",

  facts: "SELECT format, id, sealed, created, record_check, last_notice FROM store",
  insertFacts: "INSERT INTO store (one, format, id, sealed, created, record_check) VALUES (1, ?, ?, ?, ?, ?)",
  noticeLogged: "UPDATE store SET last_notice = ?",

  // A retired key has a "!" before its ring; of a destroyed one nothing is left but its id.
  keys: `${KEY} WHERE ring <> '' ORDER BY ordinal`,
  droppedKeys: "SELECT ordinal, id FROM wrapped_key WHERE ring = ''",
  keyRing: "SELECT purpose, ring FROM wrapped_key WHERE id = ?",
  retireKey: "UPDATE wrapped_key SET ring = '!' || ring WHERE id = ? AND ring <> '' AND ring NOT LIKE '!%'",
  insertKey:
    "INSERT INTO wrapped_key (id, purpose, sharing_group, ring, wrapped, created) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
  keyPurpose: "SELECT purpose FROM wrapped_key WHERE id = ? AND ring <> ''",
  dropKeys: "DELETE FROM wrapped_key",
  putKey:
    "INSERT INTO wrapped_key (ordinal, id, purpose, sharing_group, ring, wrapped, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
  rewrapKey: `UPDATE wrapped_key SET ring = CASE WHEN ring LIKE '!%' THEN '!' || ?1 ELSE ?1 END, wrapped = ?2
    WHERE id = ?3 AND ring IN (?4, '!' || ?4)`,

  insertTimeline: `INSERT INTO timeline (key, caretaker, originator, partition, fork, kind, created, forked_from, record_check,
    lease_epoch, lease_owner, lease_expires_at, lease_holder, lease_check) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  timeline: `${TIMELINE} WHERE key = ?`,
  timelineAt: `${TIMELINE} WHERE caretaker = ? AND originator = ? AND partition = ? AND fork = ?`,
  timelinesAfter: `${TIMELINE} WHERE ordinal > ? ORDER BY ordinal LIMIT 200`,
  standing: "SELECT lease_epoch, head_sequence, head_id, head_check FROM timeline WHERE key = ?",
  mendTimeline: `UPDATE timeline SET record_check = ?, head_check = ?, ${LEASE} WHERE key = ?`,
  moveHead: "UPDATE timeline SET head_sequence = ?, head_id = ?, head_check = ? WHERE key = ?",
  moveHeadFrom: `UPDATE timeline SET head_sequence = ?, head_id = ?, head_check = ?
    WHERE key = ? AND lease_epoch = ? AND head_sequence = ?`,
  acquireLease: `UPDATE timeline SET ${LEASE} WHERE key = ? AND lease_epoch = ?`,
  renewLease: `UPDATE timeline SET ${LEASE} WHERE key = ? AND lease_epoch = ? AND lease_owner = ?`,
  releaseLease: `UPDATE timeline SET ${LEASE}, request = NULL WHERE key = ? AND lease_epoch = ? AND lease_owner = ?`,
  request: "UPDATE timeline SET request = ? WHERE key = ?",

  insertCommit: "INSERT INTO commit_log (header, body) VALUES (?, ?)",
  insertNotice: "INSERT INTO commit_log (header, removals) VALUES (?, ?)",
  commitById: `${COMMIT} WHERE id = ?`,
  commitsAfter: `${COMMIT} WHERE id > ? ORDER BY id LIMIT ?`,
  commitsBefore: `${COMMIT} WHERE id < ? ORDER BY id DESC LIMIT ?`,
  body: "SELECT body FROM commit_log WHERE id = ?",
  dropBody: "UPDATE commit_log SET body = NULL, header_digest = ? WHERE id = ?",
  lastCommit: "SELECT max(id) AS id FROM commit_log",
  rawCommit: "SELECT header, body FROM commit_log WHERE id = ?",
  putNotice: "INSERT OR REPLACE INTO commit_log (id, header, removals) VALUES (?, ?, ?)",
  replacePack: `INSERT INTO commit_log (id, header, body, header_digest) VALUES (?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET header = excluded.header, body = excluded.body, header_digest = excluded.header_digest`,

  insertMemento: "INSERT INTO memento (timeline, sequence, nonce, commit_id, slot) VALUES (?, ?, ?, ?, ?)",
  // One statement, so that the body goes with what is said of its removal.
  pack: `SELECT ${PLACE}, c.body FROM memento m LEFT JOIN commit_log c ON c.id = m.commit_id
    WHERE m.timeline = ? AND m.sequence = ?`,
  glance: `${PLACES} WHERE m.timeline = ? AND m.sequence = ?`,
  placesAfter: `${PLACES} WHERE m.timeline = ? AND m.sequence > ? ORDER BY m.sequence LIMIT ?`,
  placesBefore: `${PLACES} WHERE m.timeline = ? AND m.sequence < ? ORDER BY m.sequence DESC LIMIT ?`,
  slot: "SELECT nonce, commit_id, slot, removed_by FROM memento WHERE timeline = ? AND sequence = ?",
  putMemento: `INSERT OR REPLACE INTO memento (timeline, sequence, nonce, commit_id, slot, removed_by)
    VALUES (?, ?, ?, ?, ?, ?)`,
  slotsOf: "SELECT timeline, sequence, nonce, slot, removed_by FROM memento WHERE commit_id = ? ORDER BY slot",
  markRemoved: "UPDATE memento SET removed_by = ? WHERE timeline = ? AND sequence = ?",
  hasLive: `SELECT EXISTS (SELECT 1 FROM timeline t JOIN memento m ON m.timeline = t.key
    WHERE t.caretaker = ? AND m.removed_by = 0) AS live`,
  // Both ways round: timelines and what they should hold, and mementos whose timeline is gone.
  spans: `SELECT t.key, m.timeline, t.head_sequence, t.head_id, t.head_check, m.mementos, m.first, m.last, l.nonce
    FROM timeline t
    FULL JOIN (SELECT timeline, count(*) AS mementos, min(sequence) AS first, max(sequence) AS last
      FROM memento GROUP BY timeline) m ON m.timeline = t.key
    LEFT JOIN memento l ON l.timeline = m.timeline AND l.sequence = m.last`,
  mementosAfter: `SELECT timeline, sequence, nonce, commit_id, slot, removed_by FROM memento
    WHERE (timeline, sequence) > (?, ?) ORDER BY timeline, sequence LIMIT 500`,

  named: "SELECT memento FROM memento_name WHERE caretaker = ? AND name = ?",
  moveName: `INSERT INTO memento_name (caretaker, name, memento) VALUES (?, ?, ?)
    ON CONFLICT (caretaker, name) DO UPDATE SET memento = excluded.memento`,
  freeNamesOf: "DELETE FROM memento_name WHERE memento = ?",
  freeName: "DELETE FROM memento_name WHERE caretaker = ? AND name = ? AND memento = ?",
  namesAfter: `SELECT caretaker, name, memento FROM memento_name
    WHERE (caretaker, name) > (?, ?) ORDER BY caretaker, name LIMIT 500`,

  caretaker: `${CARETAKER} WHERE name = ?`,
  caretakers: `${CARETAKER} ORDER BY name`,
  saveCaretaker: `INSERT INTO caretaker (name, created, version, policy, record_check) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET
      created = excluded.created, version = excluded.version, policy = excluded.policy, record_check = excluded.record_check`,
  removeCaretaker: "DELETE FROM caretaker WHERE name = ?",
} as const;

/** Every statement of the store, compiled once for a connection. */
export type Statements = Readonly<Record<keyof typeof SQL, StatementSync>>;

/** Compiles all statements; throws SQLite's error where the tables are not those of the schema. */
export function prepareStatements(database: DatabaseSync): Statements {
  const prepared = Object.entries(SQL).map(([name, sql]) => [name, database.prepare(sql)] as const);
  return Object.fromEntries(prepared) as unknown as Statements;
}
