import { numberOf, type Row } from "../../../store/sql/rows.ts";
import type { HistoryStep } from "../way-back.ts";
import { imageTable } from "./shapes.ts";
import type { Stream } from "./stream.ts";
import type { Workspace } from "./workspace.ts";

/** What one position did, and its place in the order of all streams' positions. */
export interface Entry extends HistoryStep {
  readonly stream: number;
  readonly shape: number;
  readonly commit: number;
}

/** Records what a position did; called once all that it did is done. */
export async function addEntry(
  { session, dialect, shape }: Workspace,
  stream: Stream,
  { position, back, complete }: HistoryStep,
): Promise<void> {
  await session.run(
    `INSERT INTO ${dialect.books("entries")} (stream, position, shape, back, complete)
      VALUES (${stream.id}, ${position}, ${shape.id}, ${back ?? "NULL"}, ${complete ? 1 : 0})`,
  );
}

/** What the positions of a stream after `mark` did, oldest first. */
export async function readEntries({ session, dialect }: Workspace, stream: number, mark: number): Promise<Entry[]> {
  const rows = await session.all(
    `SELECT stream, position, shape, back, complete, commit_number FROM ${dialect.books("entries")}
      WHERE stream = ${stream} AND position > ${mark} ORDER BY position`,
  );
  return rows.map(entryOf);
}

/** Forgets what the positions up to `mark` did, which is needed only to go back to before it. */
export async function trimEntries(work: Workspace, stream: Stream, mark: number): Promise<void> {
  const { session, dialect, shapes } = work;
  const upToMark = `stream = ${stream.id} AND position <= ${mark}`;
  for (const shape of shapes.values()) await session.run(`DELETE FROM ${imageTable(dialect, shape)} WHERE ${upToMark}`);
  await session.run(`DELETE FROM ${dialect.books("entries")} WHERE ${upToMark}`);
  await session.run(`UPDATE ${dialect.books("streams")} SET oldest = ${mark} WHERE id = ${stream.id}`);
}

function entryOf(row: Row): Entry {
  return {
    stream: numberOf(row, "stream"),
    position: numberOf(row, "position"),
    shape: numberOf(row, "shape"),
    back: row["back"] === null ? null : numberOf(row, "back"),
    complete: numberOf(row, "complete") === 1,
    commit: numberOf(row, "commit_number"),
  };
}
