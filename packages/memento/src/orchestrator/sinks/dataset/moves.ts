import { MementoError } from "../../../core/errors.ts";
import type { RowMove } from "../memory-table.ts";
import type { ForeignChange } from "../sink.ts";
import { wayBack } from "../way-back.ts";
import type { FoundFile } from "./files.ts";
import { filePath } from "./layout.ts";
import type { FileEntry } from "./manifest.ts";
import type { DatasetStream } from "./state.ts";

/** A file, or null for none. */
type Image = FileEntry | null;

/** What going back does to one file, or what somebody else did to it. */
export type FileMove = RowMove<FileEntry>;

/** Looks at what lies at a path below the dataset's folder. */
export type Look = (path: string) => Promise<FoundFile | null>;

/** What is known of a file between now and a mark. */
interface NetFile {
  readonly first: Image;
  before: Image;
  after: Image;
}

/**
 * What going back to position `mark` does, file by file, and what others have changed since; the rules are those of rows in
 * memory (memory-table.ts), with a file's digest for its content. A file that is not in the newest version is looked at only if
 * the target has it. NOT_REVERTIBLE with `force` where the content that should come back is gone.
 */
export async function movesTo(stream: DatasetStream, mark: number, force: boolean, look: Look): Promise<FileMove[]> {
  const known = knownFiles(stream);
  const moves: FileMove[] = [];
  for (const [item, net] of netOf(stream, mark)) {
    const listed = stream.files.get(item) ?? null;
    if (listed === null && net.first === null && net.after === null) continue;
    const now = await imageNow(item, listed, known, look);
    const isOurs = isSame(now, net.after);
    const left = isOurs ? net.before : now;
    const alien = isOurs ? brokenBy(net.before, net.first) : changeOf(now, net.after);
    moves.push(await reachable({ item, before: now, after: force ? net.first : left, alien }, force, look));
  }
  if (!force) holdFamilies(moves, known);
  return moves.filter(({ before, after, alien }) => alien !== null || !isSame(before, after));
}

/** Rows that go and rows that come back: what only moves between files, because it was merged, is neither. */
export function countRows(moves: readonly FileMove[], stream: DatasetStream): { removed: number; restored: number } {
  const known = knownFiles(stream);
  const [out, back] = [new Map<string, number>(), new Map<string, number>()];
  for (const { item, before, after } of moves) {
    if (isSame(before, after)) continue;
    const [image, counts] = after === null ? [before, out] : [after, back];
    const parts = partsOf(item, known);
    for (const part of parts)
      counts.set(part, parts.length === 1 ? (image?.rows ?? 0) : (known.get(part)?.[0]?.rows ?? 0));
  }
  const sum = (counts: Map<string, number>, other: Map<string, number>): number =>
    [...counts].reduce((total, [part, rows]) => (other.has(part) ? total : total + rows), 0);
  return { removed: sum(out, back), restored: sum(back, out) };
}

/** The names of what others have changed. */
export function foreignOf(moves: readonly FileMove[]): ForeignChange[] {
  return moves.flatMap(({ item, alien }) => (alien === null ? [] : [{ item: filePath(item), change: alien }]));
}

function netOf({ books }: DatasetStream, mark: number): Map<string, NetFile> {
  const net = new Map<string, NetFile>();
  for (const { changes } of wayBack(books.steps.slice(mark - books.oldest), mark, books.position) ?? []) {
    for (const { item, before, after } of changes) {
      const known = net.get(item);
      if (known === undefined) net.set(item, { first: before, before, after });
      else {
        if (!isSame(known.after, before)) known.before = before;
        known.after = after;
      }
    }
  }
  return net;
}

/** Everything that a name has stood for, as far as the books go back. */
type KnownFiles = ReadonlyMap<string, readonly FileEntry[]>;

function knownFiles({ books, files }: DatasetStream): KnownFiles {
  const known = new Map<string, FileEntry[]>();
  const add = (item: string, image: Image): void => {
    if (image === null) return;
    const images = known.get(item);
    if (images === undefined) known.set(item, [image]);
    else if (!images.some((other) => isSame(other, image))) images.push(image);
  };
  for (const { changes } of books.steps) {
    for (const { item, before, after } of changes) {
      add(item, before);
      add(item, after);
    }
  }
  for (const [item, entry] of files) add(item, entry);
  return known;
}

/** What a name stands for now: what is listed, as it lies there; or what somebody put where an older version's file lay. */
async function imageNow(item: string, listed: Image, known: KnownFiles, look: Look): Promise<Image> {
  const path = listed?.path ?? filePath(item);
  const found = await look(path);
  if (found === null) return null;
  if (listed !== null) return listed.digest === found.digest ? listed : { ...listed, ...found };
  const images = known.get(item) ?? [];
  const [first] = images;
  if (first === undefined || images.some(({ digest }) => digest === found.digest)) return null;
  return { ...first, path, ...found };
}

/** The move as it can be done: what cannot come back because its content is gone is a foreign change too. */
async function reachable(move: FileMove, force: boolean, look: Look): Promise<FileMove> {
  const { item, before, after } = move;
  if (after === null || isSame(before, after)) return move;
  const found = await look(after.path);
  if (found?.digest === after.digest) return move;
  if (!force) return { item, before, after: before, alien: found === null ? "deleted" : "changed" };
  throw new MementoError(
    "NOT_REVERTIBLE",
    `${after.path} belongs to the target, and was ${found === null ? "deleted" : "written over"} since`,
    { hint: "Bring the file back from a copy, or choose another target.", details: { path: after.path } },
  );
}

/**
 * A merged file and those that it was made from hold the same rows. Where one of them was changed by somebody else and stays,
 * the others stay as they are too: rows would come twice, or be lost.
 */
function holdFamilies(moves: FileMove[], known: KnownFiles): void {
  for (const family of familiesOf(moves, known)) {
    if (family.length < 2 || family.every((place) => moves[place]?.alien === null)) continue;
    for (const place of family) {
      const move = moves[place];
      if (move === undefined || isSame(move.before, move.after)) continue;
      const isMerged = move.after?.of !== undefined;
      moves[place] = { ...move, after: move.before, alien: move.alien ?? (isMerged ? "changed" : null) };
    }
  }
}

/** The places of moves that have rows in common, together. */
function familiesOf(moves: readonly FileMove[], known: KnownFiles): number[][] {
  const families = new Set<number[]>();
  const familyOf = new Map<string, number[]>();
  for (const [place, { item }] of moves.entries()) {
    const family = [place];
    const parts = partsOf(item, known);
    for (const other of new Set(parts.map((part) => familyOf.get(part)))) {
      if (other === undefined) continue;
      family.push(...other);
      families.delete(other);
    }
    for (const member of family)
      for (const part of partsOf(moves[member]?.item ?? "", known)) familyOf.set(part, family);
    families.add(family);
  }
  return [...families];
}

/** The names of the files of single writes that a file's rows came with; its own, as far back as that is known. */
function partsOf(item: string, known: KnownFiles): string[] {
  const of = known.get(item)?.find((image) => image.of !== undefined)?.of ?? [];
  return of.length === 0 || !of.every((name) => known.has(name)) ? [item] : of.flatMap((name) => partsOf(name, known));
}

function isSame(a: Image, b: Image): boolean {
  return a?.digest === b?.digest;
}

/** What somebody else did who found `left` there, and there is `now`. */
function changeOf(now: Image, left: Image): ForeignChange["change"] {
  if (left === null) return "taken";
  return now === null ? "deleted" : "changed";
}

/** What somebody else did between our changes; null where that makes no difference to where the file goes. */
function brokenBy(before: Image, first: Image): ForeignChange["change"] | null {
  if (isSame(before, first)) return null;
  return before === null ? "deleted" : "changed";
}
