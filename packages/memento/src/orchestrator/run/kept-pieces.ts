import { PIECE } from "./run-state.ts";

/** True for what a stage under way has kept besides its progress: failed attempts, and sleeps. */
export function isKept(key: string): boolean {
  return key.startsWith(PIECE.attempts) || key.startsWith(PIECE.sleep);
}

/** The key of a piece that belongs to a stage under way; no stage's name can be mistaken for another's. */
export function keptKey(prefix: string, owner: string, name: string): string {
  return `${prefix}${encodeURIComponent(owner)}/${name}`;
}
