import type * as duckdb from "@duckdb/node-api";
import type { DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";

import { MementoError } from "../../../core/errors.ts";
import { loadPeer } from "../../../store/optional-peer.ts";

/** The client library as it is loaded. */
export type DuckdbModule = typeof duckdb;

/** An instance of DuckDB, as the client library makes it. */
export type DuckdbInstance = DuckDBInstance;

/** A connection to an instance. */
export type DuckdbConnection = DuckDBConnection;

const PEER = "@duckdb/node-api";

/** Loads the client library. PEER_MISSING where it is not installed, ENGINE_UNSUITABLE where it brings another DuckDB. */
export async function loadDuckdb(): Promise<DuckdbModule> {
  const duckdb = await loadPeer<DuckdbModule>(PEER, "latest", "duckdbTable");
  demandVersion(duckdb.version());
  return duckdb;
}

/**
 * All releases of the package are pre-releases to npm (`1.5.5-r.5`), of which a range takes those alone that it names: the range in
 * package.json is `*`, and the versions are told apart here. ENGINE_UNSUITABLE.
 */
export function demandVersion(version: string): void {
  const [, major, minor] = /^v(\d+)\.(\d+)\./u.exec(version) ?? [];
  if (major === "1" && Number(minor) >= 5) return;
  throw new MementoError(
    "ENGINE_UNSUITABLE",
    `duckdbTable needs DuckDB 1.5 or newer, before 2; ${PEER} brings ${version} here`,
    { details: { version }, hint: `Install another version: npm view ${PEER} versions shows which there are.` },
  );
}

/** An instance of the sink's own, to which files are attached. */
export interface Engine {
  readonly instance: DuckdbInstance;
  /** Attaches, detaches and checkpoints. */
  readonly admin: DuckdbConnection;
  /** A log that is longer is brought into its file: DuckDB's setting `wal_autocheckpoint`, 16 MiB by default. */
  readonly logBytesMax: number;
}

/** Makes an instance in memory that checkpoints only where it is told to. */
export async function openEngine(settings: Readonly<Record<string, string>>): Promise<Engine> {
  const { DuckDBInstance } = await loadDuckdb();
  const instance = await DuckDBInstance.create(":memory:", { ...settings });
  const admin = await instance.connect();
  const reader = await admin.runAndReadAll("SELECT current_setting('wal_autocheckpoint')");
  const logBytesMax = bytesOf(String(reader.getRows()[0]?.[0]));
  await admin.run("SET wal_autocheckpoint = '1TB'");
  await admin.run("SET wal_autocheckpoint_entries = 0");
  await admin.run("PRAGMA disable_checkpoint_on_shutdown");
  return { instance, admin, logBytesMax };
}

const UNITS: readonly string[] = ["bytes", "KiB", "MiB", "GiB", "TiB"];

/** What DuckDB's text for a size says: `16.0 MiB`. */
function bytesOf(said: string): number {
  const [size = "", unit = ""] = said.split(" ");
  return Number(size) * 1024 ** UNITS.indexOf(unit);
}
