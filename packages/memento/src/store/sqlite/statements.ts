import type { DatabaseSync, StatementSync } from "node:sqlite";

const HEAD = "h.sequence AS head_sequence, h.memento AS head_id, h.head_check";
const TIMELINE = `SELECT t.ordinal, key, caretaker, originator, partition, fork, kind, created, forked_from, record_check,
  lease_epoch, lease_owner, lease_expires_at, lease_holder, lease_check, request, ${HEAD}
  FROM timeline t LEFT JOIN head h ON h.timeline = t.ordinal`;
const LEASE = "lease_epoch = ?, lease_owner = ?, lease_expires_at = ?, lease_holder = ?, lease_check = ?";
const PLACE = "m.sequence, m.nonce, m.commit_id, m.slot, m.removal, c.header, c.header_digest";
const ROW = "timeline, sequence, nonce, commit_id, slot";
const COMMIT = "SELECT id, header, header_digest, length(body) AS body_bytes, removals FROM commit_log";
const KEY = "SELECT ordinal, id, purpose, sharing_group, ring, wrapped, created FROM wrapped_key";
const CARETAKER = "SELECT name, created, version, policy, record_check FROM caretaker";

/** Rows of both tables of mementos in one order. Of the view they would all be read and then sorted: here each table is read in its order. */
const inOrder = (where: string, order: string, limit: string): string =>
  `SELECT ${ROW}, removal, 0 AS recent FROM memento WHERE ${where}
    UNION ALL SELECT ${ROW}, 0, 1 FROM recent_memento WHERE ${where} ${order}, recent ${limit}`;

/** The same, with their commits. */
const places = (where: string, order: string, limit: string): string =>
  `SELECT ${PLACE}, length(c.body) AS body_bytes FROM (${inOrder(where, order, limit)}) m
    LEFT JOIN commit_log c ON c.id = m.commit_id ${order}`;

/** Whether something of a caretaker stands in a table of mementos. */
const standsIn = (table: string): string =>
  `EXISTS (SELECT 1 FROM timeline t JOIN ${table} m ON m.timeline = t.key WHERE t.caretaker = ?1`;

/** How many mementos each timeline has in a table of them, and from where to where. */
const spanIn = (table: string): string =>
  `SELECT timeline, count(*) AS mementos, min(sequence) AS first, max(sequence) AS last FROM ${table} GROUP BY timeline`;

const lastNonce = (table: string): string =>
  `(SELECT nonce FROM ${table} l WHERE l.timeline = m.timeline AND l.sequence = m.last)`;

/** A memento's row, in one table where the other one has none for its place. */
const insertWhereFree = (table: string, other: string): string =>
  `INSERT INTO ${table} (${ROW}) SELECT ?1, ?2, ?3, ?4, ?5
    WHERE NOT EXISTS (SELECT 1 FROM ${other} WHERE timeline = ?1 AND sequence = ?2)`;

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
  timelinesAfter: `${TIMELINE} WHERE t.ordinal > ? ORDER BY t.ordinal LIMIT 200`,
  mendTimeline: `UPDATE timeline SET record_check = ?, ${LEASE} WHERE key = ?`,
  insertHead: "INSERT OR REPLACE INTO head (timeline, sequence) VALUES (?, 0)",
  standing: `SELECT lease_epoch, ${HEAD} FROM timeline t LEFT JOIN head h ON h.timeline = t.ordinal WHERE key = ?`,
  mendHead: "UPDATE head SET head_check = ? WHERE timeline = (SELECT ordinal FROM timeline WHERE key = ?)",
  moveHead: `INSERT INTO head (sequence, memento, head_check, timeline) SELECT ?, ?, ?, ordinal FROM timeline WHERE key = ?
    ON CONFLICT (timeline) DO UPDATE SET
      sequence = excluded.sequence, memento = excluded.memento, head_check = excluded.head_check`,
  moveHeadFrom: `UPDATE head SET sequence = ?, memento = ?, head_check = ?
    WHERE timeline = (SELECT ordinal FROM timeline WHERE key = ? AND lease_epoch = ?) AND sequence = ?`,
  acquireLease: `UPDATE timeline SET ${LEASE} WHERE key = ? AND lease_epoch = ?`,
  renewLease: `UPDATE timeline SET ${LEASE} WHERE key = ? AND lease_epoch = ? AND lease_owner = ?`,
  releaseLease: `UPDATE timeline SET ${LEASE}, request = NULL WHERE key = ? AND lease_epoch = ? AND lease_owner = ?`,
  request: "UPDATE timeline SET request = ? WHERE key = ?",

  // Nothing is inserted under a retired key.
  insertCommit: `INSERT INTO commit_log (header, body) SELECT ?1, ?2
    WHERE NOT EXISTS (SELECT 1 FROM wrapped_key WHERE id = ?3 AND (ring = '' OR ring LIKE '!%'))`,
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

  insertMemento: insertWhereFree("memento", "recent_memento"),
  insertRecent: insertWhereFree("recent_memento", "memento"),
  lastRecent: "SELECT max(ordinal) AS last FROM recent_memento",
  recents: "SELECT count(*) AS rows FROM recent_memento",
  sortIn: `INSERT OR IGNORE INTO memento (${ROW}) SELECT ${ROW} FROM recent_memento ORDER BY timeline, sequence`,
  sortInOne: `INSERT INTO memento (${ROW}) SELECT ${ROW} FROM recent_memento WHERE timeline = ? AND sequence = ? AND nonce = ?`,
  dropRecents: "DELETE FROM recent_memento",
  dropSorted: `DELETE FROM recent_memento AS r WHERE EXISTS (SELECT 1 FROM memento m WHERE m.timeline = r.timeline
    AND m.sequence = r.sequence AND m.nonce = r.nonce AND m.commit_id = r.commit_id AND m.slot = r.slot)`,
  dropRecent: "DELETE FROM recent_memento WHERE timeline = ? AND sequence = ? AND nonce = ?",
  doubles: `SELECT r.timeline, r.sequence, r.nonce, r.commit_id, r.slot, 0 AS removal FROM recent_memento r
    JOIN memento m ON m.timeline = r.timeline AND m.sequence = r.sequence`,
  recentOf: `SELECT ${ROW}, 0 AS removal FROM recent_memento WHERE commit_id = ?`,
  // One statement, so that the body goes with what is said of its removal.
  pack: `SELECT ${PLACE}, c.body FROM place m LEFT JOIN commit_log c ON c.id = m.commit_id
    WHERE m.timeline = ? AND m.sequence = ?`,
  glance: `SELECT ${PLACE}, length(c.body) AS body_bytes FROM place m LEFT JOIN commit_log c ON c.id = m.commit_id
    WHERE m.timeline = ? AND m.sequence = ?`,
  placesAfter: places("timeline = ?1 AND sequence > ?2", "ORDER BY sequence", "LIMIT ?3"),
  placesBefore: places("timeline = ?1 AND sequence < ?2", "ORDER BY sequence DESC", "LIMIT ?3"),
  slot: "SELECT nonce, commit_id, slot, removal FROM place WHERE timeline = ? AND sequence = ?",
  sortedSlot: "SELECT nonce, commit_id, slot, removal FROM memento WHERE timeline = ? AND sequence = ?",
  putMemento: `INSERT OR REPLACE INTO memento (${ROW}, removal) VALUES (?, ?, ?, ?, ?, ?)`,
  slotsOf: "SELECT timeline, sequence, nonce, slot, removal FROM place WHERE commit_id = ? ORDER BY slot",
  markRemoved: "UPDATE memento SET removal = ? WHERE timeline = ? AND sequence = ?",
  hasLive: `SELECT ${standsIn("memento")} AND m.removal = 0) OR ${standsIn("recent_memento")}) AS live`,
  // Both ways round: timelines and what they should hold, and mementos whose timeline is gone.
  spans: `SELECT t.key, m.timeline, ${HEAD}, m.mementos, m.first, m.last,
      coalesce(${lastNonce("memento")}, ${lastNonce("recent_memento")}) AS nonce
    FROM timeline t
    LEFT JOIN head h ON h.timeline = t.ordinal
    FULL JOIN (SELECT timeline, sum(mementos) AS mementos, min(first) AS first, max(last) AS last
      FROM (${spanIn("memento")} UNION ALL ${spanIn("recent_memento")}) GROUP BY timeline) m ON m.timeline = t.key`,
  mementosAfter: inOrder("(timeline, sequence) > (?1, ?2)", "ORDER BY timeline, sequence", "LIMIT 500"),

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
