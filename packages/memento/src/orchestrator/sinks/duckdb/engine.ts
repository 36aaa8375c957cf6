import type * as duckdb from "@duckdb/node-api";
import type { DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";

import { loadPeer } from "../../../store/optional-peer.ts";

/** The client library as it is loaded. */
export type DuckdbModule = typeof duckdb;

/** An instance of DuckDB, as the client library makes it. */
export type DuckdbInstance = DuckDBInstance;

/** A connection to an instance. */
export type DuckdbConnection = DuckDBConnection;

/** Loads the client library; PEER_MISSING where it is not installed. */
export async function loadDuckdb(): Promise<DuckdbModule> {
  return await loadPeer<DuckdbModule>("@duckdb/node-api", ">=1.5.0-r.1 <2", "duckdbTable");
}
