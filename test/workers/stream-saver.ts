/**
 * Saves a long stream and reads it back, or dies on the way. Arguments: the store's URL, megabytes, and the number of the
 * append by which it is killed, with `before` or `after` it. Prints one line of JSON.
 */
import { writeSync } from "node:fs";
import process from "node:process";

import { Memento } from "../../packages/memento/src/memento.ts";
import { openStore } from "../../packages/memento/src/store/open-store.ts";
import { interceptStore } from "../../packages/memento/src/store/wrap/index.ts";

/** What the worker's line says. */
export interface StreamNews {
  readonly id: string;
  readonly sha256: string;
  readonly bytes: number;
  /** By how much the process's memory grew at most, over what it had before the first byte. */
  readonly saveGrowthBytes: number;
  readonly readGrowthBytes: number;
}

const MB = 1_048_576;

/** Bytes that neither compress nor repeat, the same each time, a megabyte at a time. */
export function* longStream(megabytes: number): Generator<Uint8Array> {
  let state = 0x9e37_79b9;
  for (let n = 0; n < megabytes; n++) {
    const words = new Uint32Array(MB / 4);
    for (let index = 0; index < words.length; index++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[index] = state;
    }
    yield new Uint8Array(words.buffer);
  }
}

async function main(url: string, megabytes: number, killAt: number, phase: string): Promise<void> {
  const { store } = await openStore(url);
  let appends = 0;
  const dying = interceptStore(store, async (call, proceed) => {
    if (call.method !== "append") return await proceed();
    appends += 1;
    if (appends === killAt && phase === "before") process.kill(process.pid, "SIGKILL");
    const answer = await proceed();
    if (appends === killAt) process.kill(process.pid, "SIGKILL");
    return answer;
  });
  await using memento = await Memento.open(dying, { keys: { raw: [new Uint8Array(32).fill(7)] } });
  const files = memento.caretaker("files");
  if (megabytes > 100) {
    // What the engine itself takes is there before the first measurement.
    const { id } = await files.saveStream(longStream(20), { originator: "warm-up" });
    for await (const _ of await files.openStream(id));
  }
  const before = process.memoryUsage.rss();
  let greatest = before;
  const measure = (): void => {
    greatest = Math.max(greatest, process.memoryUsage.rss());
  };
  const { id } = await files.saveStream(longStream(megabytes), { id: "long", onProgress: measure });
  const saveGrowthBytes = greatest - before;
  greatest = before;
  const stream = await files.openStream(id);
  for await (const _ of stream) measure();
  const { bytes, sha256 } = stream;
  const news: StreamNews = { id, sha256, bytes, saveGrowthBytes, readGrowthBytes: greatest - before };
  writeSync(1, `${JSON.stringify(news)}\n`);
}

if (import.meta.main) {
  const [url = "", megabytes = "", killAt = "0", phase = "after"] = process.argv.slice(2);
  await main(url, Number(megabytes), Number(killAt), phase);
}
