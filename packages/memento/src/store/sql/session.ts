import { MementoError } from "../../core/errors.ts";
import type { AppendBatch, StoreSupports } from "../store.ts";
import type { Row } from "./rows.ts";
import type { SqlStatements } from "./statements.ts";

/** A memento's place in the index: its timeline, and its number there. */
export type Place = readonly [timeline: string, sequence: number];

/** A value of a statement. A list stands behind `IN`, a list of places behind the dialect's `inPlaces`. */
export type SqlValue = string | number | Uint8Array | null | readonly string[] | readonly number[] | readonly Place[];

/** One connection of a server, lent for a piece of work. */
export interface SqlSession {
  readonly statements: SqlStatements;
  /** The rows that a statement gives. */
  all(sql: string, ...values: readonly SqlValue[]): Promise<readonly Row[]>;
  /** The first row that a statement gives. */
  get(sql: string, ...values: readonly SqlValue[]): Promise<Row | undefined>;
  /** How many rows a statement has changed, those that were found as they should become among them. */
  run(sql: string, ...values: readonly SqlValue[]): Promise<number>;
  /** Inserts a row, unless one has its key already: false, and waits for a transaction that is just making it. */
  add(sql: string, ...values: readonly SqlValue[]): Promise<boolean>;
  /** Inserts a row and gives the number that the engine gave it. */
  insert(sql: string, ...values: readonly SqlValue[]): Promise<number>;
}

/** A session for which the database stays as it was at one moment. */
export interface SqlSnapshot {
  readonly session: SqlSession;
  /** Gives the connection back; may be called again. */
  release(): Promise<void>;
}

/** What a server that keeps rows in tables does for a store. Errors are MementoErrors in our words. */
export interface SqlEngine {
  /** The store's URL without secrets, for people. */
  readonly url: string;
  readonly supports: StoreSupports;
  /** Bodies above this are kept in parts of this size. */
  readonly partBytesMax: number;

  /** Looks whether the tables are there, and those of this release or an older one; changes nothing. */
  isMade(): Promise<boolean>;
  /** Makes the tables that are missing, or waits until another process has; then does `first`, which finds what the others did. */
  make(first: (session: SqlSession) => Promise<void>): Promise<void>;

  /** Work that only reads; may be done again after a connection was lost. */
  read<T>(work: (session: SqlSession) => Promise<T>): Promise<T>;
  /** Work of one statement that writes, which is its own transaction; never done again. */
  single<T>(work: (session: SqlSession) => Promise<T>): Promise<T>;
  /** Work in one transaction: all of it is done, or nothing. Done again, a bounded number of times, where it throws `mustRepeat`. */
  write<T>(work: (session: SqlSession) => Promise<T>): Promise<T>;
  snapshot(): Promise<SqlSnapshot>;

  /**
   * Appends a batch in one round trip, where every record of it is to be taken, and one alone or none has a name. False,
   * and nothing done, in every other case: `write` with a look at each record tells which.
   */
  appendAll(batch: AppendBatch, dataKey: string | null): Promise<boolean>;
  /**
   * Waits until every transaction that is behind the gate is done. Gives the number of the last commit: each one up to
   * it is either to be seen from now on, or never. Transactions pass the gate before they look at keys and number a commit.
   */
  settle(): Promise<number>;
  /** Gives space back; how many bytes, as far as the engine tells. */
  compact(): Promise<number>;
  close(): Promise<void>;
}

/** The way out of a server that takes no writes: no user, password or right of the account's helps there. */
export const OPEN_PRIMARY =
  "If it is a replica, name the primary in the store's URL; otherwise switch the server's or the account's read-only setting off. Nothing was written.";

/** The error of work that was rolled back for reasons that lie with others: `write` does it again. */
export function mustRepeat(problem: string, cause?: unknown): MementoError {
  const options = cause === undefined ? {} : { cause };
  return new MementoError("LOCKED", problem, { ...options, details: { repeat: true } });
}
