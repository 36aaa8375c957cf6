import { PIECE, type Memento, type MementoEntry } from "@mementojs/memento";
import type { OpenedMemento } from "@mementojs/memento/vault";

import { differences, type ValueDifference } from "./value-difference.ts";

/** One piece that differs. */
export interface PieceDifference {
  /** What it is: a source, a key of the state, a stage, a sink. */
  readonly name: string;
  readonly kind: "added" | "removed" | "changed";
  /** Place by place; null where the piece is too large to be compared without being asked for. */
  readonly differences: readonly ValueDifference[] | null;
  readonly bytes: { readonly before: number | null; readonly after: number | null };
}

/** The parts of a memento, in the order in which a difference is read. */
export const PARTS = [
  "run",
  "offsets",
  "schema versions",
  "credentials",
  "progress",
  "state",
  "outputs",
  "sinks",
  "value",
] as const;

/** A part of a memento. */
export type Part = (typeof PARTS)[number];

/** What differs between two mementos. */
export interface MementoDifference {
  readonly before: MementoEntry;
  readonly after: MementoEntry;
  /** True: they hold the same content. */
  readonly same: boolean;
  /** Facts of the entries, by name. */
  readonly facts: readonly ValueDifference[];
  readonly parts: Readonly<Record<Part, readonly PieceDifference[]>>;
}

const PIECE_BYTES_MAX = 1_048_576;
const FACTS = ["timeline", "run", "version", "stage", "status", "generation", "resumeCount", "name", "labels"] as const;

/** Compares two mementos piece by piece; pieces with the same digest are not even read. `full` compares large ones too. */
export async function diffMementos(
  memento: Memento,
  beforeId: string,
  afterId: string,
  full: boolean,
): Promise<MementoDifference> {
  const [before, after] = [await memento.vault.load(beforeId), await memento.vault.load(afterId)];
  const parts = Object.fromEntries(PARTS.map((part) => [part, [] as PieceDifference[]])) as Record<
    Part,
    PieceDifference[]
  >;
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    if (before.directory.get(key)?.digest === after.directory.get(key)?.digest) continue;
    const { part, name } = partOf(key);
    parts[part].push({ name, ...(await diffPiece(before, after, key, full)) });
  }
  return {
    before: before.entry,
    after: after.entry,
    same: Object.values(parts).every((pieces) => pieces.length === 0),
    facts: differences(factsOf(before.entry), factsOf(after.entry)),
    parts,
  };
}

async function diffPiece(
  before: OpenedMemento,
  after: OpenedMemento,
  key: string,
  full: boolean,
): Promise<Omit<PieceDifference, "name">> {
  const bytes = { before: before.directory.get(key)?.bytes ?? null, after: after.directory.get(key)?.bytes ?? null };
  const kind = bytes.before === null ? "added" : bytes.after === null ? "removed" : "changed";
  if (!full && Math.max(bytes.before ?? 0, bytes.after ?? 0) > PIECE_BYTES_MAX)
    return { kind, bytes, differences: null };
  const [was, is] = [await before.value(key), await after.value(key)];
  if (kind === "added") return { kind, bytes, differences: [{ path: "", kind, after: is }] };
  if (kind === "removed") return { kind, bytes, differences: [{ path: "", kind, before: was }] };
  return { kind, bytes, differences: differences(was, is) };
}

function factsOf(entry: MementoEntry): Record<string, unknown> {
  return Object.fromEntries(FACTS.flatMap((fact) => (entry[fact] === undefined ? [] : [[fact, entry[fact]]])));
}

const PREFIXES: readonly (readonly [prefix: string, part: Part])[] = [
  [PIECE.offsets, "offsets"],
  [PIECE.underWay, "progress"],
  [PIECE.attempts, "progress"],
  [PIECE.sleep, "progress"],
  [PIECE.approval, "progress"],
  [PIECE.list, "progress"],
  [PIECE.item, "progress"],
  [PIECE.state, "state"],
  [PIECE.output, "outputs"],
  [PIECE.sink, "sinks"],
];
const WHOLE: Readonly<Record<string, Part>> = {
  [PIECE.run]: "run",
  [PIECE.schema]: "schema versions",
  [PIECE.credentials]: "credentials",
  [PIECE.progress]: "progress",
};

function partOf(key: string): { readonly part: Part; readonly name: string } {
  for (const [prefix, part] of PREFIXES) if (key.startsWith(prefix)) return { part, name: key.slice(prefix.length) };
  const part = WHOLE[key];
  return part === undefined ? { part: "value", name: key === "value" ? "" : key } : { part, name: "" };
}
