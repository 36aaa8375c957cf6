import type { Clock } from "../../../core/ports.ts";
import type { SinkContext } from "../sink.ts";
import type { SinkDialect } from "./dialect.ts";
import type { SinkSession } from "./session.ts";
import type { Stream } from "./stream.ts";
import type { Target } from "./target.ts";
import type { Workspace } from "./workspace.ts";

/** Some rows of a batch, those from `from` up to `to`, and where they are recorded. */
export interface Slice {
  readonly rows: readonly unknown[];
  readonly from: number;
  readonly to: number;
  readonly stream: Stream;
  readonly position: number;
  readonly mode: "append" | "upsert";
}

/** An engine's part in a sink: one table of one database. */
export interface SqlTableEngine {
  readonly dialect: SinkDialect;
  readonly clock: Clock;
  /** Does `work` while no other process makes tables; not one transaction everywhere, so that each step may be repeated. */
  making<T>(work: (session: SinkSession) => Promise<T>): Promise<T>;
  /** Does `work` in one transaction, once. STORE_UNREACHABLE with `details.lost` where it is not known whether it was done. */
  transaction<T>(work: (session: SinkSession) => Promise<T>): Promise<T>;
  /** Looks at the table; null where there is none. */
  readTarget(session: SinkSession): Promise<Target | null>;
  createTarget(session: SinkSession): Promise<void>;
  /** The target's `signature` as it is now, cheaply. */
  signature(session: SinkSession): Promise<string>;
  /**
   * Writes rows, and records for each its image before (or that there was none) and the check of the row as it was stored. Returns
   * the rows that were written. RECORD_INVALID with `details.refused` where the engine refuses one of them; half of it may be done.
   */
  writeSlice(work: Workspace, slice: Slice): Promise<number>;
  close(): Promise<void>;
}

/** What a sink into an engine's tables is made from. */
export interface SqlTableDriver {
  /** For example `postgres-table`. */
  readonly kind: string;
  readonly mode: Slice["mode"];
  readonly columns: readonly string[] | null;
  describe(): string;
  /** Connects. */
  open(context: SinkContext): Promise<SqlTableEngine>;
}
