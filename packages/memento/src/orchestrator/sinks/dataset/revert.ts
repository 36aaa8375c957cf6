import { MementoError } from "../../../core/errors.ts";
import { demandKept, positionOf } from "../position-mark.ts";
import type { SinkMark, SinkReverted, SinkWrite } from "../sink.ts";
import type { FileEntry } from "./manifest.ts";
import { countRows, type FileMove, foreignOf, movesTo } from "./moves.ts";
import type { DatasetState, DatasetStream } from "./state.ts";
import { admit, type DatasetWork } from "./work.ts";

const KEPT_NAMED_MAX = 100;

/** Publishes a version in which the stream's files are those of position `mark`. */
export async function revertStream(
  work: DatasetWork,
  mark: SinkMark,
  { epoch, token }: SinkWrite,
  force: boolean,
): Promise<SinkReverted> {
  const { chain, name, format, place } = work;
  for (;;) {
    const state = await chain.refresh();
    const stream = state.stream(name);
    const { books } = stream;
    admit(stream, epoch);
    const done = books.reverts.get(token);
    if (done !== undefined) return done as SinkReverted;
    if (books.takenAt(token) !== null)
      throw new MementoError("INVALID_ARGUMENT", `The token ${token} was taken by a write`);
    const back = positionOf(mark, books.position, place);
    demandKept(back, books.oldest, place);
    if (books.position === 0) return { removed: 0, restored: 0, records: 0, kept: [], mark: null };
    const moves = await keepContents(work, await movesTo(stream, back, force, work.look), stream);
    demandOneSchema(state, stream, moves, place);
    const foreign = foreignOf(moves);
    const kept = force ? [] : foreign.slice(0, KEPT_NAMED_MAX);
    const result = { ...countRows(moves, stream), kept };
    const complete = force || foreign.length === 0;
    const change = { kind: "revert", stream: name, epoch, token, back, complete, moves, result } as const;
    if (await chain.commit(change, format)) return state.stream(name).books.reverts.get(token) as SinkReverted;
  }
}

/** What force takes from somebody else is copied first: it has no other place to come back from. */
async function keepContents(
  { data }: DatasetWork,
  moves: readonly FileMove[],
  { books }: DatasetStream,
): Promise<FileMove[]> {
  const ours = new Set(
    books.steps.flatMap(({ changes }) => changes.flatMap(({ before, after }) => [before?.digest, after?.digest])),
  );
  const kept: FileMove[] = [];
  for (const move of moves) {
    const { item, before, after } = move;
    const isTaken = before !== null && before.digest !== after?.digest && !ours.has(before.digest);
    kept.push(isTaken ? { ...move, before: { ...before, path: await data.keep(item, before) } } : move);
  }
  return kept;
}

function demandOneSchema(state: DatasetState, stream: DatasetStream, moves: readonly FileMove[], place: string): void {
  const schemas = new Set<number>();
  const add = (entry: FileEntry): void => void schemas.add(entry.schema);
  for (const other of state.streams.values()) {
    for (const [item, entry] of other.files)
      if (other !== stream || !moves.some((move) => move.item === item)) add(entry);
  }
  for (const { after } of moves) if (after !== null) add(after);
  if (schemas.size <= 1) return;
  throw new MementoError("NOT_REVERTIBLE", `The target of ${place} has files of other columns than those that stay`, {
    hint: "Roll back the other timelines of the folder first, to before they wrote with these columns.",
  });
}
