/**
 * Fills a store, exports out of it, or imports into it, and measures its memory on the way; or dies on the way. One JSON
 * text as its only argument; prints one line of JSON.
 */
import { writeSync } from "node:fs";
import process from "node:process";

import { Memento } from "../../packages/memento/src/memento.ts";
import { openStore } from "../../packages/memento/src/store/open-store.ts";
import { CallCounter, type KillPoint } from "../crash/killing.ts";
import { longStream } from "./stream-saver.ts";

/** What the worker is to do. */
export interface CarrierTask {
  readonly action: "fill" | "export" | "import";
  readonly url: string;
  readonly key: number;
  readonly file: string;
  readonly megabytes?: number;
  /** Exports this memento instead of the caretaker. */
  readonly memento?: string;
  /** Opens the file, where it is another one than the store's. */
  readonly fileKey?: number;
  readonly kill?: KillPoint;
}

/** What its line says. */
export interface CarrierNews {
  readonly calls: number;
  /** By how much the process's memory grew at most, over what it had when the store was open. */
  readonly growthBytes: number;
  readonly stream: string;
}

const keyOf = (byte: number) => ({ raw: [new Uint8Array(32).fill(byte)] });

async function fill(memento: Memento, megabytes: number): Promise<string> {
  const etl = memento.caretaker("etl");
  // Half of it as mementos of some megabytes, half as one stream.
  let number = 0;
  for (const bytes of longStream(megabytes / 2)) {
    number += 1;
    if (number % 4 === 0) await etl.save({ bytes, number }, { full: true });
  }
  return (await etl.saveStream(longStream(megabytes / 2), { id: "stream" })).id;
}

async function work(memento: Memento, task: CarrierTask): Promise<string> {
  const { action, file, megabytes = 8, fileKey } = task;
  if (action === "fill") return await fill(memento, megabytes);
  if (action === "export") {
    await memento.exportTo(file, task.memento === undefined ? { caretaker: "etl" } : { memento: task.memento });
    return "";
  }
  await memento.importFrom(file, fileKey === undefined ? {} : { keys: keyOf(fileKey) });
  return "";
}

const task = JSON.parse(process.argv[2] ?? "{}") as CarrierTask;
const counter = new CallCounter(task.kill ?? null);
const { store } = await openStore(task.url);
await using memento = await Memento.open(counter.wrap("store", store), { keys: keyOf(task.key) });
const before = process.memoryUsage.rss();
let greatest = before;
const timer = setInterval(() => {
  greatest = Math.max(greatest, process.memoryUsage.rss());
}, 5);
const stream = await work(memento, task);
clearInterval(timer);
greatest = Math.max(greatest, process.memoryUsage.rss());
const news: CarrierNews = { calls: counter.names.length, growthBytes: greatest - before, stream };
writeSync(1, `${JSON.stringify(news)}\n`);
