/** Every table of a store. */
export type SqlTable =
  | "commit_log"
  | "body_part"
  | "memento"
  | "timeline"
  | "memento_name"
  | "caretaker"
  | "wrapped_key"
  | "store";

/** Where the languages of the engines differ. Values are written `?` in all of them. */
export interface SqlDialect {
  readonly table: (name: SqlTable) => string;
  /** A condition: the columns `timeline` and `sequence` are one of a list of places. */
  readonly inPlaces: string;
  /** A condition: the column is one of a list of texts. */
  readonly inTexts: (column: string) => string;
  /** A condition: the column is one of a list of whole numbers. */
  readonly inNumbers: (column: string) => string;
  /** A condition: the bytes of the column hold these bytes. */
  readonly contains: (column: string) => string;
  /** The end of an insertion that does nothing where the key is taken; empty where the session sees to it. */
  readonly orNothing: string;
  /** The end of an insertion that changes the other columns where the key is taken. */
  readonly orChange: (keys: readonly string[], columns: readonly string[]) => string;
  /** The end of an insertion that gives the row's number; empty where the client has it anyway. */
  readonly givingId: string;
  /** The end of a change of one row that makes its commit wait for the disk, whatever the session says; empty where it does anyway. */
  readonly durably: string;
  /** Passes the gate, until the end of the transaction. */
  readonly passGate: string;
  /** Makes later commits be numbered above those that are there; empty where the engine sees to it. */
  readonly numberOnward: string;
}

/** Bodies up to this size come with the other columns of a page of commits, larger ones one at a time. */
const INLINE_BYTES = 65_536;

const LEASE = "lease_epoch = ?, lease_owner = ?, lease_expires_at = ?, lease_holder = ?, lease_check = ?";
const LEASE_COLUMNS = "lease_epoch, lease_owner, lease_expires_at, lease_holder, lease_check";
const RECORD_COLUMNS = "timeline, caretaker, originator, partition_key, fork, kind, created, forked_from, record_check";
const HEAD_COLUMNS = "head_sequence, head_id, head_check";
const PLACE = "timeline, sequence, nonce, commit_id, slot, removed_by";
const KEY_COLUMNS = "id, purpose, sharing_group, ring, wrapped, created, state";
const CARETAKER_COLUMNS = ["name", "created", "version", "policy", "record_check"];

/** Every statement of a store in an engine's language. */
export type SqlStatements = Pick<SqlDialect, "passGate" | "numberOnward"> &
  ReturnType<typeof logStatements> &
  ReturnType<typeof mementoStatements> &
  ReturnType<typeof timelineStatements> &
  ReturnType<typeof keyStatements> &
  ReturnType<typeof caretakerStatements>;

/** Writes the statements of a store in an engine's language. */
export function sqlStatements(dialect: SqlDialect): SqlStatements {
  return {
    passGate: dialect.passGate,
    numberOnward: dialect.numberOnward,
    ...logStatements(dialect),
    ...mementoStatements(dialect),
    ...timelineStatements(dialect),
    ...keyStatements(dialect),
    ...caretakerStatements(dialect),
  };
}

function logStatements({ table, contains, inNumbers, orChange, givingId }: SqlDialect) {
  const [log, part, store] = [table("commit_log"), table("body_part"), table("store")];
  const bodyBytes = `CASE WHEN c.body_id IS NULL THEN octet_length(c.body)
    ELSE (SELECT sum(octet_length(p.content)) FROM ${part} p WHERE p.body_id = c.body_id) END AS body_bytes`;
  const commit = `c.id, c.header, c.header_digest, c.body_id, c.removals, c.notice, ${bodyBytes}`;
  const small = `CASE WHEN octet_length(c.body) <= ${INLINE_BYTES} THEN c.body END AS body`;
  const holds = (count: number): string => ` AND ${contains("c.header")}`.repeat(count);
  return {
    facts: `SELECT format, id, sealed, created, record_check, notices FROM ${store}`,
    insertFacts: `INSERT INTO ${store} (one, format, id, sealed, created, record_check) VALUES (1, ?, ?, ?, ?, ?)`,
    countNotice: `UPDATE ${store} SET notices = notices + 1`,
    setNotices: `UPDATE ${store} SET notices = ?`,

    insertCommit: `INSERT INTO ${log} (header, body, body_id) VALUES (?, ?, ?)${givingId}`,
    insertNotice: `INSERT INTO ${log} (header, removals, notice) SELECT ?, ?, notices FROM ${store}${givingId}`,
    putNotice: `INSERT INTO ${log} (id, header, removals, notice) VALUES (?, ?, ?, ?)${orChange(["id"], ["header", "removals", "notice"])}`,
    putPack: `INSERT INTO ${log} (id, header, body, body_id, header_digest) VALUES (?, ?, ?, ?, ?)${orChange(["id"], ["header", "body", "body_id", "header_digest"])}`,
    dropBody: `UPDATE ${log} SET body = NULL, body_id = NULL, header_digest = ? WHERE id = ?`,

    commitById: `SELECT ${commit} FROM ${log} c WHERE c.id = ?`,
    commitSlot: `SELECT ${commit}, m.timeline, m.sequence, m.nonce, m.commit_id, m.slot, m.removed_by FROM ${log} c
      JOIN ${table("memento")} m ON m.commit_id = c.id WHERE c.id = ? AND m.slot = ?`,
    commitsOf: `SELECT ${commit} FROM ${log} c WHERE ${inNumbers("c.id")} ORDER BY c.id`,
    lockCommit: `SELECT id FROM ${log} WHERE id = ? FOR UPDATE`,
    lockCommits: `SELECT id FROM ${log} WHERE ${inNumbers("id")} ORDER BY id FOR UPDATE`,
    commitWithBody: `SELECT c.id, c.header, c.header_digest, c.body_id, c.body FROM ${log} c WHERE c.id = ?`,
    /** Commits behind a number, with their small bodies. */
    commitsWithBodies: (size: number): string =>
      `SELECT ${commit}, ${small} FROM ${log} c WHERE c.id > ? ORDER BY c.id LIMIT ${size}`,
    /** Commits behind a number whose headers hold each of `count` texts. */
    commitsAfter: (size: number, count: number): string =>
      `SELECT ${commit} FROM ${log} c WHERE c.id > ?${holds(count)} ORDER BY c.id LIMIT ${size}`,
    commitsBefore: (size: number, count: number): string =>
      `SELECT ${commit} FROM ${log} c WHERE c.id < ?${holds(count)} ORDER BY c.id DESC LIMIT ${size}`,
    lastCommit: `SELECT coalesce(max(id), 0) AS id FROM ${log}`,

    insertPart: `INSERT INTO ${part} (body_id, number, content) VALUES (?, ?, ?)`,
    part: `SELECT content FROM ${part} WHERE body_id = ? AND number = ?`,
    dropParts: `DELETE FROM ${part} WHERE body_id = ?`,
    strayParts: `SELECT p.body_id, count(*) AS parts FROM ${part} p LEFT JOIN ${log} c ON c.body_id = p.body_id
      WHERE c.id IS NULL GROUP BY p.body_id LIMIT 100`,
  } as const;
}

function mementoStatements({ table, inPlaces, inNumbers, inTexts, orNothing, orChange }: SqlDialect) {
  const [memento, log, part, name, line] = [
    table("memento"),
    table("commit_log"),
    table("body_part"),
    table("memento_name"),
    table("timeline"),
  ];
  // A header comes with the first of the rows that share it.
  const repeated = (order: string): string => `lag(m.commit_id) OVER (ORDER BY m.sequence${order}) = m.commit_id`;
  const places = (condition: string, order: string, size: number): string =>
    `SELECT m.timeline, m.sequence, m.nonce, m.commit_id, m.slot, m.removed_by, c.id AS found,
    CASE WHEN ${repeated(order)} THEN NULL ELSE c.header END AS header, c.header_digest,
    CASE WHEN c.body_id IS NULL THEN octet_length(c.body)
      ELSE (SELECT sum(octet_length(p.content)) FROM ${part} p WHERE p.body_id = c.body_id) END AS body_bytes
    FROM (SELECT ${PLACE} FROM ${memento} WHERE timeline = ? AND ${condition} ORDER BY sequence${order} LIMIT ${size}) m
    LEFT JOIN ${log} c ON c.id = m.commit_id ORDER BY m.sequence${order}`;
  return {
    insertMemento: `INSERT INTO ${memento} (timeline, sequence, nonce, commit_id, slot) VALUES (?, ?, ?, ?, ?)`,
    putMemento: `INSERT INTO ${memento} (${PLACE}) VALUES (?, ?, ?, ?, ?, ?)${orChange(["timeline", "sequence"], ["nonce", "commit_id", "slot", "removed_by"])}`,
    // One statement, so that the body goes with what is said of its removal.
    pack: `SELECT m.nonce, m.commit_id, m.slot, m.removed_by, c.header, c.header_digest, c.body, c.body_id
      FROM ${memento} m LEFT JOIN ${log} c ON c.id = m.commit_id WHERE m.timeline = ? AND m.sequence = ?`,
    placesAfter: (size: number): string => places("sequence > ?", "", size),
    placesBefore: (size: number): string => places("sequence < ?", " DESC", size),
    slots: `SELECT ${PLACE} FROM ${memento} WHERE ${inPlaces}`,
    lockLive: `SELECT ${PLACE} FROM ${memento} WHERE ${inPlaces} AND removed_by = 0 ORDER BY timeline, sequence FOR UPDATE`,
    slotsOf: `SELECT ${PLACE} FROM ${memento} WHERE ${inNumbers("commit_id")} ORDER BY commit_id, slot`,
    markRemoved: `UPDATE ${memento} SET removed_by = ? WHERE ${inPlaces}`,
    hasLive: `SELECT 1 AS live FROM ${line} t WHERE t.caretaker = ?
      AND EXISTS (SELECT 1 FROM ${memento} m WHERE m.timeline = t.timeline AND m.removed_by = 0) LIMIT 1`,
    mementosAfter: `SELECT ${PLACE} FROM ${memento} WHERE (timeline = ? AND sequence > ?) OR timeline > ?
      ORDER BY timeline, sequence LIMIT 1000`,
    spans: `SELECT timeline, count(*) AS mementos, min(sequence) AS first_sequence, max(sequence) AS last_sequence
      FROM ${memento} GROUP BY timeline`,

    named: `SELECT memento FROM ${name} WHERE caretaker = ? AND name = ?`,
    lockName: `SELECT memento FROM ${name} WHERE caretaker = ? AND name = ? FOR UPDATE`,
    addName: `INSERT INTO ${name} (caretaker, name, memento) VALUES (?, ?, ?)${orNothing}`,
    moveName: `UPDATE ${name} SET memento = ? WHERE caretaker = ? AND name = ?`,
    freeNamesOf: `DELETE FROM ${name} WHERE ${inTexts("memento")}`,
    freeName: `DELETE FROM ${name} WHERE caretaker = ? AND name = ? AND memento = ?`,
    namesAfter: `SELECT caretaker, name, memento FROM ${name} WHERE (caretaker = ? AND name > ?) OR caretaker > ?
      ORDER BY caretaker, name LIMIT 1000`,
  } as const;
}

function timelineStatements({ table, inTexts, orNothing, durably }: SqlDialect) {
  const line = table("timeline");
  const timeline = `SELECT ordinal, ${RECORD_COLUMNS}, ${LEASE_COLUMNS}, request, ${HEAD_COLUMNS} FROM ${line}`;
  return {
    insertTimeline: `INSERT INTO ${line} (address, ${RECORD_COLUMNS}, ${LEASE_COLUMNS})
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)${orNothing}${durably}`,
    timeline: `${timeline} WHERE timeline = ?`,
    timelineAt: `${timeline} WHERE address = ?`,
    timelinesAfter: `${timeline} WHERE ordinal > ? ORDER BY ordinal LIMIT 500`,
    lockStandings: `SELECT timeline, lease_epoch, ${HEAD_COLUMNS} FROM ${line} WHERE ${inTexts("timeline")} ORDER BY timeline FOR UPDATE`,
    standing: `SELECT lease_epoch, ${HEAD_COLUMNS} FROM ${line} WHERE timeline = ?`,
    moveHead: `UPDATE ${line} SET head_sequence = ?, head_id = ?, head_check = ? WHERE timeline = ?`,
    mendTimeline: `UPDATE ${line} SET record_check = ?, head_check = ?, ${LEASE} WHERE timeline = ?`,
    acquireLease: `UPDATE ${line} SET ${LEASE} WHERE timeline = ? AND lease_epoch = ?${durably}`,
    renewLease: `UPDATE ${line} SET ${LEASE} WHERE timeline = ? AND lease_epoch = ? AND lease_owner = ?`,
    releaseLease: `UPDATE ${line} SET ${LEASE}, request = NULL WHERE timeline = ? AND lease_epoch = ? AND lease_owner = ?${durably}`,
    request: `UPDATE ${line} SET request = ? WHERE timeline = ?${durably}`,
  } as const;
}

function keyStatements({ table, orNothing, durably }: SqlDialect) {
  const key = table("wrapped_key");
  return {
    keys: `SELECT ${KEY_COLUMNS} FROM ${key} WHERE state <> 'dropped' ORDER BY ordinal`,
    keyState: `SELECT purpose, state FROM ${key} WHERE id = ?`,
    insertKey: `INSERT INTO ${key} (${KEY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)${orNothing}`,
    rewrapKey: `UPDATE ${key} SET ring = ?, wrapped = ? WHERE id = ? AND ring = ? AND state <> 'dropped'${durably}`,
    retireKey: `UPDATE ${key} SET state = 'retired' WHERE id = ? AND state = 'active' AND purpose = 'data'${durably}`,
    // Of a destroyed key the id stays, so that nobody who still has the key brings it back.
    dropKey: `UPDATE ${key} SET sharing_group = '', ring = '', wrapped = '', created = '', state = 'dropped'
      WHERE id = ? AND state <> 'dropped' AND purpose = 'data'${durably}`,
  } as const;
}

function caretakerStatements({ table, orNothing }: SqlDialect) {
  const caretaker = table("caretaker");
  const columns = CARETAKER_COLUMNS.join(", ");
  return {
    caretaker: `SELECT ${columns} FROM ${caretaker} WHERE name = ?`,
    lockCaretaker: `SELECT ${columns} FROM ${caretaker} WHERE name = ? FOR UPDATE`,
    caretakers: `SELECT ${columns} FROM ${caretaker} ORDER BY name`,
    addCaretaker: `INSERT INTO ${caretaker} (${columns}) VALUES (?, ?, ?, ?, ?)${orNothing}`,
    changeCaretaker: `UPDATE ${caretaker} SET created = ?, version = ?, policy = ?, record_check = ? WHERE name = ?`,
    removeCaretaker: `DELETE FROM ${caretaker} WHERE name = ?`,
  } as const;
}
