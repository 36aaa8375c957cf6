import { existsSync, statSync } from "node:fs";

import { MementoError } from "../../../core/errors.ts";
import type { Clock } from "../../../core/ports.ts";
import { attachFile } from "./attach.ts";
import { type DuckdbInstance, type Engine, openEngine } from "./engine.ts";
import { isFatal, isLocked } from "./failures.ts";
import { CheckpointGuard } from "./guard.ts";
import { quoteName } from "./names.ts";
import { placeOf } from "./place.ts";

/** How one use of a database waits for it. */
export interface FileUse {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly busyTimeoutMs: number;
  /** How long the file stays open afterwards. */
  readonly holdMs: number;
  /** False: a file that is not there is refused, and not made. */
  readonly mayCreate: boolean;
}

/** A database while it is open. */
export interface OpenDatabase {
  readonly instance: DuckdbInstance;
  /** Its name in the instance. */
  readonly catalog: string;
}

/** A database that sinks take turns with. */
export interface SharedDatabase {
  /** The file, for people. */
  readonly path: string;
  /** Changes whenever the file was closed or opened: another one may be in its place by then. */
  readonly opening: number;
  /** Runs `work` alone, after all that were asked for before, with the database open. Throws LOCKED when it stays locked. */
  use<T>(use: FileUse, work: (database: OpenDatabase) => Promise<T>): Promise<T>;
  /** Ends one sink's share; closes what was opened after the last. */
  release(): Promise<void>;
}

const CATALOG = "memento_target";
/** Longest pause between two tries for the lock. */
const LOCK_PAUSE_MS_MAX = 50;

/**
 * The files that this process uses. DuckDB's lock is the process's own: two instances on one file in one process would not
 * notice each other and destroy it, and closing either would give up the lock of both. So all sinks into a file share one.
 */
const files = new Map<string, DuckdbFile>();

/**
 * A database file, attached to an instance in memory while it is used and for a moment afterwards, so that others can open
 * it in between: attaching costs 1 ms, detaching 10 ms (a checkpoint, and the copy before it). One use at a time.
 */
export class DuckdbFile implements SharedDatabase {
  readonly path: string;
  opening = 0;
  readonly #settings: Readonly<Record<string, string>>;
  readonly #guard: CheckpointGuard;
  #sharers = 0;
  #engine: Engine | null = null;
  #attached = false;
  #waiting = 0;
  #stopHolding: (() => void) | null = null;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(path: string, settings: Readonly<Record<string, string>>) {
    this.path = path;
    this.#settings = settings;
    this.#guard = new CheckpointGuard(path);
  }

  /** The process's share of the file; INVALID_ARGUMENT where it is shared with other settings already. */
  static share(path: string, settings: Readonly<Record<string, string>> = {}): DuckdbFile {
    const place = placeOf(path);
    const file = files.get(place) ?? new DuckdbFile(place, settings);
    if (JSON.stringify(file.#settings) !== JSON.stringify(settings)) {
      throw new MementoError("INVALID_ARGUMENT", `${place} is in use by this process with other settings of DuckDB`);
    }
    files.set(place, file);
    file.#sharers += 1;
    return file;
  }

  use<T>(use: FileUse, work: (database: OpenDatabase) => Promise<T>): Promise<T> {
    this.#waiting += 1;
    return this.#inTurn(async () => {
      try {
        const engine = await this.#open(use);
        const logBytes = this.#logBytes();
        const result = await work({ instance: engine.instance, catalog: CATALOG });
        if (this.#logBytes() > Math.max(logBytes, engine.logBytesMax)) await this.#checkpoint(engine);
        return result;
      } catch (error) {
        if (isFatal(error)) await this.#discard();
        throw error;
      } finally {
        this.#waiting -= 1;
        await this.#hold(use);
      }
    });
  }

  async release(): Promise<void> {
    await this.#inTurn(async () => {
      this.#sharers -= 1;
      if (this.#sharers > 0) return;
      files.delete(this.path);
      await this.#detach();
      await this.#discard();
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    // The next in the queue waits for this one to end, however it ends; its own caller gets its error.
    this.#last = turn.then(
      () => null,
      () => null,
    );
    return turn;
  }

  async #open(use: FileUse): Promise<Engine> {
    this.#stopHolding?.();
    this.#stopHolding = null;
    const engine = (this.#engine ??= await openEngine(this.#settings));
    if (this.#attached) return engine;
    if (!use.mayCreate && !existsSync(this.path)) {
      throw new MementoError("IO_FAILED", `There is no database ${this.path}, and no columns to make the table from`, {
        details: { path: this.path },
        hint: "Check the path, or give the table's columns.",
      });
    }
    await this.#untilFree(use, engine);
    this.#attached = true;
    this.opening += 1;
    return engine;
  }

  async #untilFree({ clock, signal, busyTimeoutMs }: FileUse, { admin }: Engine): Promise<void> {
    const deadline = clock.monotonic() + busyTimeoutMs;
    for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, LOCK_PAUSE_MS_MAX)) {
      try {
        await attachFile(this.path, CATALOG, admin, this.#guard);
        return;
      } catch (error) {
        const isBusy = isLocked(error) || (error instanceof MementoError && error.code === "LOCKED");
        if (!isBusy || clock.monotonic() >= deadline) throw error;
      }
      await clock.sleep(pauseMs, signal);
    }
  }

  /** Closes the file now, or once nobody has asked for it for a while. */
  async #hold({ clock, holdMs }: FileUse): Promise<void> {
    if (!this.#attached || this.#waiting > 0) return;
    if (holdMs === 0) {
      await this.#detach();
      return;
    }
    const stop = clock.every(holdMs, () => {
      stop();
      void this.#inTurn(async () => {
        if (this.#stopHolding === stop) await this.#detach();
      });
    });
    this.#stopHolding = stop;
  }

  async #detach(): Promise<void> {
    this.#stopHolding?.();
    this.#stopHolding = null;
    if (!this.#attached || this.#engine === null) return;
    try {
      if (this.#logBytes() > 0) await this.#checkpoint(this.#engine);
    } catch {
      // All that was acknowledged is in the log beside the file, which the next one to attach it reads, and who meets whatever is wrong.
      return;
    }
    await this.#letGo(this.#engine);
  }

  /** Brings the log into the file, which is let go of where that fails. */
  async #checkpoint(engine: Engine): Promise<void> {
    try {
      await this.#guard.keep(engine.admin, CATALOG);
      // Told to by a statement, DuckDB first brings a log that it has read into all indexes. Where it checkpoints by itself, at a
      // commit or while it detaches, it writes those that were not used since without it (duckdb/duckdb#23788).
      await engine.admin.run(`CHECKPOINT ${quoteName(CATALOG)}`);
      await this.#guard.drop();
    } catch (error) {
      await this.#letGo(engine);
      throw error;
    }
  }

  /** Closes the file as it is. */
  async #letGo({ admin }: Engine): Promise<void> {
    this.#attached = false;
    this.opening += 1;
    try {
      await admin.run(`DETACH ${quoteName(CATALOG)}`);
      await this.#guard.close();
    } catch {
      // An instance that has failed for good detaches nothing: the file is closed with it.
      await this.#discard();
    }
  }

  /** How long the log is that lies beside the file. */
  #logBytes(): number {
    // Where a path has a question mark, DuckDB puts the ending before it.
    return statSync(this.path.replace(/\?|$/, ".wal$&"), { throwIfNoEntry: false })?.size ?? 0;
  }

  async #discard(): Promise<void> {
    this.#attached = false;
    this.opening += 1;
    this.#engine?.admin.closeSync();
    this.#engine?.instance.closeSync();
    this.#engine = null;
    await this.#guard.close();
  }
}
