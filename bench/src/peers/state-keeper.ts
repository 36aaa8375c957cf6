import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

import type { State } from "../states/state-sequence.ts";

/**
 * Someone who keeps states: one sequence, in a place of its own, from its first save to the reading of its last state.
 * Only `save` and `Reader.load` are ever timed.
 */
export interface StateKeeper extends AsyncDisposable {
  /** Does what the peer's user has done before: not in the peer's time. */
  prepare?(state: State): void;
  /** Saves one more state; resolves when the keeper says that it is saved. */
  save(state: State): Promise<void> | void;
  /** Ends the writing; how many bytes all saves take up. Called once, before the first `reader`. */
  finish(): Promise<number> | number;
  /** A new handle, open and connected, that has not read any state yet. */
  reader(): Promise<Reader> | Reader;
}

export interface Reader extends AsyncDisposable {
  /** The state that was saved last, as the value that it was. */
  load(): Promise<unknown>;
}

/** Opens a keeper on an empty folder. */
export type OpenKeeper = (folder: string) => Promise<StateKeeper> | StateKeeper;

/** Bytes of all files in the folder and below it, by their lengths. */
export function bytesIn(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}
