import { readFile, rename, writeFile } from "node:fs/promises";

import { isMementoError, MementoError } from "../../../core/errors.ts";
import { systemCode } from "../../../core/path-errors.ts";

/** Where it is kept how far a replica has come. What is lost of it costs time, and nothing else. */
export interface ReplicaState {
  load(): Promise<string | null>;
  /** Replaces what was kept; a crash leaves the old text or the new one. */
  save(text: string): Promise<void>;
}

/** How far a replica has come. */
export interface Progress {
  /** Whose it is: that of another store, or of another pair of its places, is not believed. */
  readonly store: string;
  readonly between: readonly [primary: string, replica: string];
  /** The last commit of the primary that the replica has. */
  readonly primary: string | null;
  /** The last memento that was brought: a replica that does not have it is not the one of which this was kept any more. */
  readonly memento: string | null;
  /** How far the replica's own log was read, to find notices that are there already. */
  readonly replica: string | null;
  /** Digests of notices that were met more often on one side (replica: above 0) than on the other. */
  readonly notices: readonly (readonly [digest: string, count: number])[];
  /** Mementos whose packs were replaced or reclaimed, and not yet on the replica. */
  readonly owed: readonly string[];
}

/** Keeps the progress in a file, whose folder must be there. */
export function fileReplicaState(path: string): ReplicaState {
  return {
    load: async () => {
      try {
        return await readFile(path, "utf8");
      } catch (error) {
        if (systemCode(error) === "ENOENT") return null;
        throw failed(path, error);
      }
    },
    save: async (text) => {
      try {
        // Several processes may save at once: each has a name of its own until it is whole.
        const temporary = `${path}.${process.pid}.tmp`;
        await writeFile(temporary, text);
        await rename(temporary, path);
      } catch (error) {
        throw failed(path, error);
      }
    },
  };
}

/** Keeps the progress as long as this process lives: a replica is then compared from its start each time it is opened. */
export function memoryReplicaState(): ReplicaState {
  let kept: string | null = null;
  return {
    load: async () => kept,
    save: async (text) => {
      kept = text;
    },
  };
}

/** The progress that was kept of this store between these two places; from the start, where there is none or it does not read. */
export function readProgress(text: string | null, { store, between }: Pick<Progress, "store" | "between">): Progress {
  const none: Progress = { store, between, primary: null, memento: null, replica: null, notices: [], owed: [] };
  if (text === null) return none;
  try {
    const found = JSON.parse(text) as Partial<Progress> | null;
    const isOurs = found?.store === store && between.every((url, index) => found.between?.[index] === url);
    const sound = isOurs && Array.isArray(found.notices) && Array.isArray(found.owed);
    return sound ? { ...none, ...found } : none;
  } catch (error) {
    if (error instanceof SyntaxError) return none;
    throw error;
  }
}

function failed(path: string, cause: unknown): MementoError {
  if (isMementoError(cause)) return cause;
  return new MementoError("IO_FAILED", `The progress of the replica could not be kept in ${path}`, {
    cause,
    details: { path },
  });
}
