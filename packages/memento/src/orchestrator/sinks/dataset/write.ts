import { MementoError } from "../../../core/errors.ts";
import { systemCode } from "../../../core/path-errors.ts";
import { markOf } from "../position-mark.ts";
import type { SinkWrite, SinkWritten } from "../sink.ts";
import { type Columns, inferColumns } from "./format/columns.ts";
import type { Listed } from "./manifest.ts";
import { dueMerge } from "./merging.ts";
import { type DatasetState, sameColumns } from "./state.ts";
import { admit, type DatasetWork } from "./work.ts";

/** The columns that files are written with, and their place among the dataset's. */
interface Schema {
  readonly columns: Columns | null;
  readonly index: number;
}

/** Files that were written, and no version lists yet. */
interface Draft extends Schema {
  readonly files: readonly Listed[];
}

/** Writes rows into new files and publishes them with the token, however many others publish meanwhile. */
export async function writeRows(
  work: DatasetWork,
  rows: readonly unknown[],
  { epoch, token, records = 0 }: SinkWrite,
): Promise<SinkWritten> {
  const { chain, data, name, format } = work;
  let draft: Draft | null = null;
  for (;;) {
    const state = await chain.refresh();
    const stream = state.stream(name);
    const { books } = stream;
    const taken = books.takenAt(token);
    if (epoch < books.epoch || taken !== null) {
      const isOurs = draft?.files.some(([file]) => stream.files.has(file)) === true;
      if (isOurs) return { rows: rows.length, duplicate: false, mark: markOf(taken ?? books.position) };
      if (draft !== null) await data.discard(draft.files);
      admit(stream, epoch);
      return { rows: 0, duplicate: true, mark: markOf(taken ?? 0) };
    }
    const schema = schemaFor(work, state, rows);
    if (draft === null || draft.index !== schema.index || !(await isThere(work, draft))) {
      if (draft !== null) await data.discard(draft.files);
      if (state.version === 0) await chain.makeFolders();
      const facts = { schema: schema.index, version: state.version + 1 };
      draft = { ...schema, files: await data.write(rows, schema.columns, facts) };
    }
    const columns = schema.index === state.schemas.length ? schema.columns : null;
    const change = { kind: "write", stream: name, epoch, token, records, files: draft.files, columns } as const;
    if (await chain.commit(change, format))
      return { rows: rows.length, duplicate: false, mark: markOf(state.stream(name).books.position) };
  }
}

/** Merges small files for as long as some are due. A merge that others come before is left for the next write. */
export async function mergeDue(work: DatasetWork, epoch: number, except: Set<string>): Promise<void> {
  const { chain, data, name, format, options } = work;
  const { mergeFiles = 16, mergeBytesMax = 32 << 20, fileRowsMax = 1_000_000 } = options;
  if (mergeFiles === false) return;
  const rule = { files: mergeFiles, bytesMax: mergeBytesMax, rowsMax: fileRowsMax };
  for (;;) {
    const state = await chain.refresh();
    const stream = state.stream(name);
    const inputs = dueMerge(stream, rule, except);
    if (inputs === null || stream.books.epoch > epoch) return;
    const columns = state.schemas[inputs[0]?.[1].schema ?? -1] ?? null;
    const file = await data.merge(inputs, columns, state.version + 1);
    if (file === null) {
      for (const [input] of inputs) except.add(input);
      return;
    }
    const change = { kind: "merge", stream: name, out: inputs.map(([input]) => input), file } as const;
    if (await chain.commit(change, format)) continue;
    if ((await chain.refresh()).stream(name).files.has(file[0])) continue;
    await data.discard([file]);
    return;
  }
}

/**
 * The columns of the files that are listed now, whoever wrote them: a dataset has one list at a time. Without files, those that
 * are declared, or those of the batch.
 */
function schemaFor({ options, dataFormat, place }: DatasetWork, state: DatasetState, rows: readonly unknown[]): Schema {
  const index = state.schema;
  const listed = index === null ? null : (state.schemas[index] ?? null);
  const declared = options.columns ?? null;
  if (index !== null) {
    const fits = declared === null ? listed === null || dataFormat.needsColumns : sameColumns(declared, listed);
    if (fits) return { columns: listed, index };
    throw new MementoError("INVALID_ARGUMENT", `The ${place} has other columns than those that are declared`, {
      hint: "Declare the columns that it has, or write to another folder; readDataset tells them.",
      details: { columns: listed },
    });
  }
  if (rows.length === 0 || (declared === null && !dataFormat.needsColumns)) return { columns: null, index: -1 };
  const columns = declared ?? inferColumns(rows);
  const known = state.schemas.findIndex((other) => sameColumns(other, columns));
  return { columns, index: known === -1 ? state.schemas.length : known };
}

/** False where somebody has swept the files, which lay unpublished for so long that they looked left behind. */
async function isThere({ chain, files }: DatasetWork, draft: Draft): Promise<boolean> {
  for (const [, { path }] of draft.files) {
    try {
      await files.modifiedAt(chain.path(path));
    } catch (error) {
      if (systemCode(error) === "ENOENT") return false;
      throw error;
    }
  }
  return true;
}
