import { existsSync } from "node:fs";

import { type Existence, madeByWrites } from "./made-by-writes.ts";
import type { Sink } from "./sink.ts";

/**
 * A sink into a database file, which with `madeByWrites` of its context is made by the first call that writes; so is the table in it
 * for which `hasTable` is asked where the file is there.
 */
export function fileSink<Row>(sink: Sink<Row>, path: string, hasTable?: Existence): Sink<Row> {
  // SQLite takes URIs too, and only SQLite knows which file one names.
  if (path.startsWith("file:")) return sink;
  return madeByWrites(sink, async (context) => existsSync(path) && (await hasTable?.(context)) !== false);
}
