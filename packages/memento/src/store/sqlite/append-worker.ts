// The thread in which batches of many saves are appended, with a connection of its own: see append-thread.ts.
import { existsSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";

import { isMementoError, type ErrorCode } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import { ownProgram } from "../../core/own-files.ts";
import { systemClock } from "../../core/ports.ts";
import { checkPack } from "../admit.ts";
import type { PackMaker, UncheckedRecord, UnmadeBatch } from "../apart.ts";
import type { AppendBatch, AppendRecord, AppendResult, EntryPlace, StoreMeta } from "../store.ts";
import { appendBatch } from "./changes.ts";
import { BODY_BYTES_MAX, Connection, type ConnectionOptions } from "./connection.ts";
import { metaOf } from "./rows.ts";
import { isSortingDue } from "./sort-in.ts";

/** Where the database is, and the id of the store that is meant. */
export interface WorkerOptions extends Pick<ConnectionOptions, "path" | "lockTimeoutMs"> {
  readonly store: string;
}

/** A batch without its pack. Slot by slot, what decides of each record: a column is cloned sooner than many small objects. */
export interface RecordColumns extends Pick<AppendBatch, "dataKey"> {
  readonly ids: readonly string[];
  readonly epochs: readonly number[];
  readonly caretakers: readonly string[];
  readonly names: readonly (string | null)[];
  /** The slots whose names may be another memento's. */
  readonly replacing: readonly number[];
}

/** A batch that was checked, or one whose pack is to be made here. */
export type BatchOrder = RecordColumns &
  (
    | {
        readonly header: Uint8Array;
        readonly body: Uint8Array;
        readonly headChecks: readonly string[];
        /** The data key that the header names. */
        readonly sealedBy: string | null;
      }
    | Pick<UnmadeBatch, "maker" | "parts">
  );

/** null: close the database, and end. */
export type WorkerOrder = BatchOrder | null;

/** What comes back: "open" once the database is, then one answer for each batch. */
export type WorkerAnswer =
  | "open"
  /** `results` is null when all were appended; `answer` is what the maker of the pack gave. */
  | { readonly results: readonly AppendResult[] | null; readonly answer: unknown }
  /** An error of ours, or another one's message. */
  | {
      readonly code: ErrorCode | null;
      readonly message: string;
      readonly details: Readonly<Record<string, unknown>>;
    };

const port = parentPort;
const opened = await openStore(workerData as WorkerOptions);
if (opened !== null && port !== null) {
  const { connection, meta } = opened;
  const append = async (order: BatchOrder): Promise<WorkerAnswer> => {
    const { batch, sealedBy, answer } = "maker" in order ? await made(order, meta) : ready(order);
    const results = await connection.write((statements) => appendBatch(statements, batch, sealedBy));
    return { results: results.every(({ outcome }) => outcome === "appended") ? null : results, answer };
  };
  const answer = async (order: BatchOrder): Promise<void> => {
    port.postMessage(await append(order).catch(failure));
    // Who waits for the answer does not wait for this.
    if (await connection.read((statements) => isSortingDue(statements, order.ids.length))) await connection.sortIn();
  };
  let last: Promise<unknown> = Promise.resolve();
  const take = async (order: WorkerOrder): Promise<void> => {
    if (order !== null) {
      last = last.then(async () => await answer(order)).catch(() => undefined);
      return;
    }
    await last;
    port.close();
    connection.release();
  };
  port.on("message", (order: WorkerOrder) => void take(order));
  port.postMessage("open" satisfies WorkerAnswer);
}

/** null where another one is in the place of the store by now, or none. */
async function openStore({
  path,
  lockTimeoutMs,
  store,
}: WorkerOptions): Promise<{ readonly connection: Connection; readonly meta: StoreMeta } | null> {
  if (!existsSync(path)) return null;
  const connection = await Connection.open({ path, lockTimeoutMs, clock: systemClock });
  if (connection === null) return null;
  const meta = await connection.read(({ facts }) => metaOf(facts.get() ?? {}));
  if (meta.id === store) return { connection, meta };
  connection.release();
  return null;
}

/** A batch that is about to be appended. */
interface ToAppend {
  readonly batch: AppendBatch<EntryPlace>;
  /** The data key that its header names. */
  readonly sealedBy: string | null;
  readonly answer: unknown;
}

async function made(order: Extract<BatchOrder, { readonly maker: string }>, meta: StoreMeta): Promise<ToAppend> {
  const { makePack } = (await import(ownProgram(order.maker).href)) as { readonly makePack: PackMaker };
  const records = recordsOf(order);
  const places = records.map(({ entry }) => entry);
  const { header, body, sealedBy, headChecks, answer } = await makePack(order.parts, places);
  const pack = { isSealed: sealedBy !== null, bodyBytes: body.byteLength };
  checkPack(pack, { sealed: meta.sealed, bodyBytesMax: BODY_BYTES_MAX });
  return { batch: { header, body, dataKey: order.dataKey, records: checked(records, headChecks) }, sealedBy, answer };
}

function ready(order: Extract<BatchOrder, { readonly header: Uint8Array }>): ToAppend {
  const { header, body, dataKey, sealedBy, headChecks } = order;
  return { batch: { header, body, dataKey, records: checked(recordsOf(order), headChecks) }, sealedBy, answer: null };
}

const checked = (
  records: readonly UncheckedRecord<EntryPlace>[],
  headChecks: readonly string[],
): readonly AppendRecord<EntryPlace>[] =>
  records.map((record, slot) => ({ ...record, headCheck: headChecks[slot] ?? "" }));

function recordsOf(columns: RecordColumns): readonly UncheckedRecord<EntryPlace>[] {
  const { ids, epochs, caretakers, names } = columns;
  const replacing = new Set(columns.replacing);
  return ids.map((id, slot) => {
    const { timeline, sequence } = placeOf(id);
    const place = { id, timeline, sequence, epoch: epochs[slot] ?? 0, caretaker: caretakers[slot] ?? "" };
    const name = names[slot] ?? null;
    return {
      entry: name === null ? place : { ...place, name },
      expectedSequence: sequence - 1,
      replaceName: replacing.has(slot),
    };
  });
}

/** The ids were checked before they came here. */
function placeOf(id: string): { readonly timeline: string; readonly sequence: number } {
  const place = parseMementoId(id);
  if (place === undefined) throw new TypeError(`${id} is no id of a memento`);
  return place;
}

function failure(error: unknown): WorkerAnswer {
  const message = error instanceof Error ? error.message : String(error);
  return isMementoError(error)
    ? { code: error.code, message, details: error.details }
    : { code: null, message, details: {} };
}
