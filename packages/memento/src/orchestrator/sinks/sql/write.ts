import { MementoError } from "../../../core/errors.ts";
import { isRefused } from "./attempts.ts";
import type { Slice, SqlTableEngine } from "./engine.ts";
import { addEntry } from "./journal.ts";
import { keepChecks } from "./revert.ts";
import type { Stream } from "./stream.ts";
import type { Workspace } from "./workspace.ts";

/** The most rows that an engine is given at once. */
const SLICE_ROWS = 8_192;

/** A batch, and the position at which it is recorded. */
export interface Batch {
  readonly rows: readonly unknown[];
  readonly stream: Stream;
  readonly position: number;
  readonly mode: Slice["mode"];
  /** True: finds the row that the engine refuses, and says which it is. Slower, for a batch that was refused as a whole. */
  readonly findsRow: boolean;
}

/** Writes a batch; returns the rows that were written. RECORD_INVALID, naming the row where `findsRow` is set. */
export async function writeBatch(engine: SqlTableEngine, work: Workspace, batch: Batch): Promise<number> {
  const { rows, stream, position, mode, findsRow } = batch;
  let written = 0;
  for (let from = 0; from < rows.length; from += SLICE_ROWS) {
    work.pace();
    const slice = { rows, from, to: Math.min(from + SLICE_ROWS, rows.length), stream, position, mode };
    written += findsRow ? await writeCarefully(engine, work, slice) : await engine.writeSlice(work, slice);
  }
  // The checks were taken when the rows were stored, and a trigger may have changed them since.
  if (work.target.hasTriggers) await keepChecks(work, stream, position);
  await addEntry(work, stream, { position, back: null, complete: true });
  return written;
}

/** Halves what is refused until it is one row. */
async function writeCarefully(engine: SqlTableEngine, work: Workspace, slice: Slice): Promise<number> {
  const { session } = work;
  await session.run("SAVEPOINT memento_slice");
  try {
    const written = await engine.writeSlice(work, slice);
    await session.run("RELEASE SAVEPOINT memento_slice");
    return written;
  } catch (error) {
    if (!isRefused(error)) throw error;
    await session.run("ROLLBACK TO SAVEPOINT memento_slice");
    if (slice.to - slice.from === 1) throw refusedRow(error, slice.from);
  }
  const middle = (slice.from + slice.to) >> 1;
  const first = await writeCarefully(engine, work, { ...slice, to: middle });
  return first + (await writeCarefully(engine, work, { ...slice, from: middle }));
}

function refusedRow(error: MementoError, index: number): MementoError {
  const item = `rows[${index}]`;
  const { refused: _refused, ...details } = error.details;
  return new MementoError("RECORD_INVALID", `${item} was refused: ${error.message}`, { details: { ...details, item } });
}
