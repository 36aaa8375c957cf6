import { sha256 } from "../core/digest.ts";
import type { OpenedMemento } from "../vault/opened-memento.ts";
import type { CapturedPiece } from "../vault/piece-capture.ts";

// A plain object is cut into one piece for each of its keys, so that what did not change is not written again;
// `keys` holds their order. Any other value is one piece.
const KEYS = "keys";
const VALUE = "value";
const MEMBER = "state/";
const MEMBERS_MAX = 256;

/** Cuts a state into pieces. */
export function stateToPieces(state: unknown): Map<string, unknown> {
  if (!isPlainObject(state)) return new Map([[VALUE, state]]);
  const keys = Object.keys(state);
  if (keys.length === 0 || keys.length > MEMBERS_MAX) return new Map<string, unknown>([[VALUE, state]]);
  return new Map<string, unknown>([[KEYS, keys], ...keys.map((key) => [MEMBER + key, state[key]] as const)]);
}

/** Puts a state together again. */
export async function stateFromPieces(memento: OpenedMemento): Promise<unknown> {
  if (!memento.has(KEYS)) return await memento.value(VALUE);
  const state: Record<string, unknown> = {};
  for (const key of (await memento.value(KEYS)) as string[]) {
    // defineProperty, so that a key named __proto__ stays a key.
    Object.defineProperty(state, key, {
      value: await memento.value(MEMBER + key),
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
  return state;
}

/** True when a memento holds exactly these pieces. */
export function holdsPieces(memento: OpenedMemento, pieces: ReadonlyMap<string, CapturedPiece>): boolean {
  if (memento.keys().length !== pieces.size) return false;
  return [...pieces].every(([key, piece]) => {
    const { encoding, bytes } = piece.encode();
    const known = memento.directory.get(key);
    return known?.encoding === encoding && known.digest === sha256(bytes);
  });
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return (prototype === Object.prototype || prototype === null) && Object.getOwnPropertySymbols(value).length === 0;
}
