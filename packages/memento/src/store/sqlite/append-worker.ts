// The thread in which batches of many saves are appended, with a connection of its own: see append-thread.ts.
import { existsSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";

import { isMementoError, type ErrorCode } from "../../core/errors.ts";
import { systemClock } from "../../core/ports.ts";
import { decodePackHeader } from "../header.ts";
import type { AppendBatch, AppendResult } from "../store.ts";
import { appendBatch } from "./changes.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";

/** Where the database is, and the id of the store that is meant. */
export interface WorkerOptions extends Pick<ConnectionOptions, "path" | "lockTimeoutMs"> {
  readonly store: string;
}

/** A batch that was checked. The header has its entries, so that only the conditions of the records come beside it. */
export interface BatchOrder extends Omit<AppendBatch, "records"> {
  /** The data key that the header names. */
  readonly sealedBy: string | null;
  /** What each record's head is checked by, in the order of the slots. */
  readonly headChecks: readonly string[];
  /** The slots whose names may be another memento's. */
  readonly replacing: readonly number[];
}

/** null: close the database, and end. */
export type WorkerOrder = BatchOrder | null;

/** What comes back: "open" once the database is, then one answer for each batch. */
export type WorkerAnswer =
  | "open"
  /** null: all were appended. */
  | { readonly results: readonly AppendResult[] | null }
  /** An error of ours, or another one's message. */
  | {
      readonly code: ErrorCode | null;
      readonly message: string;
      readonly details: Readonly<Record<string, unknown>>;
    };

const port = parentPort;
const connection = await openStore(workerData as WorkerOptions);
if (connection !== null && port !== null) {
  const answer = (message: WorkerAnswer): void => port.postMessage(message);
  let last: Promise<unknown> = Promise.resolve();
  const take = async (order: WorkerOrder): Promise<void> => {
    if (order === null) {
      await last;
      port.close();
      connection.release();
      return;
    }
    const batch = batchOf(order);
    last = connection
      .write((statements) => appendBatch(statements, batch, order.sealedBy))
      .then(
        (results) => answer({ results: results.every(({ outcome }) => outcome === "appended") ? null : results }),
        (error: unknown) => answer(failure(error)),
      );
  };
  port.on("message", (order: WorkerOrder) => void take(order));
  answer("open");
}

/** null where another one is in the place of the store by now, or none. */
async function openStore({ path, lockTimeoutMs, store }: WorkerOptions): Promise<Connection | null> {
  if (!existsSync(path)) return null;
  const opened = await Connection.open({ path, lockTimeoutMs, clock: systemClock });
  const facts = await opened?.read((statements) => statements.facts.get());
  if (facts?.["id"] === store) return opened;
  opened?.release();
  return null;
}

function batchOf({ header, body, dataKey, headChecks, replacing }: BatchOrder): AppendBatch {
  const replaced = new Set(replacing);
  const records = decodePackHeader(header, "the batch").entries.map((entry, slot) => ({
    entry,
    expectedSequence: entry.sequence - 1,
    headCheck: headChecks[slot] ?? "",
    replaceName: replaced.has(slot),
  }));
  return { header, body, dataKey, records };
}

function failure(error: unknown): WorkerAnswer {
  const message = error instanceof Error ? error.message : String(error);
  return isMementoError(error)
    ? { code: error.code, message, details: error.details }
    : { code: null, message, details: {} };
}
