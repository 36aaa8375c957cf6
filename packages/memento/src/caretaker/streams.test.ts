import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";

import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";

import { Memento } from "../memento.ts";
import { openStore } from "../store/open-store.ts";
import { mementoQuery } from "../store/query.ts";
import type { StoredMemento } from "../store/store.ts";
import { interceptStore } from "../store/wrap/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import { removeOrphanParts } from "../vault/chunk-parts.ts";
import type { Caretaker } from "./caretaker.ts";

const folder = mkdtempSync(path.join(tmpdir(), "memento-streams-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const MB = 1_048_576;

async function withMemento<T>(use: (memento: Memento) => Promise<T>): Promise<T> {
  await using memento = await Memento.open("memory:");
  return await use(memento);
}

/** Random bytes, quickly: they neither compress nor repeat. */
function noise(length: number, seed = 1): Uint8Array {
  const random = new SeededRandom(seed);
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) bytes.set(random.bytes(Math.min(65_536, length - at)), at);
  return bytes;
}

function* inPieces(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const readAll = async (caretaker: Caretaker, id: string): Promise<Buffer> =>
  Buffer.concat(await Array.fromAsync(await caretaker.openStream(id)));

describe("saveStream()", () => {
  test("gives back the same bytes, of a stream shorter than a chunk and of one with many parts", async () => {
    await withMemento(async (memento) => {
      const files = memento.caretaker("files");
      for (const length of [0, 1, 65_536, 300_000, 13 * MB]) {
        const bytes = noise(length);
        const { id, sizes } = await files.saveStream(inPieces(bytes, 50_000));
        expect(Buffer.compare(await readAll(files, id), bytes)).toBe(0);
        expect(sizes.logicalBytes).toBeGreaterThanOrEqual(length);
        const stream = await files.openStream(id);
        expect([stream.bytes, stream.sha256]).toEqual([length, createHash("sha256").update(bytes).digest("base64url")]);
      }
      expect((await memento.verify()).damages).toEqual([]);
    });
  });

  test("any bytes in any pieces are the same bytes again", async () => {
    await withMemento(async (memento) => {
      const files = memento.caretaker("files");
      const bytes = fc.oneof(
        fc.uint8Array({ maxLength: 500 }),
        fc.nat(400_000).map((length) => noise(length, length)),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(bytes, { maxLength: 12 }), async (pieces) => {
          const { id } = await files.saveStream(pieces);
          expect(Buffer.compare(await readAll(files, id), Buffer.concat(pieces))).toBe(0);
        }),
        { numRuns: 60 },
      );
    });
  });

  test("the cuts depend on the content alone", async () => {
    await withMemento(async (memento) => {
      const files = memento.caretaker("files");
      const bytes = noise(6 * MB);
      const whole = await files.saveStream([bytes], { originator: "whole" });
      const inSmall = await files.saveStream(inPieces(bytes, 999), { originator: "small" });
      const readable = await files.saveStream(Readable.from(inPieces(bytes, 70_000)), { originator: "readable" });
      expect([inSmall.contentDigest, readable.contentDigest]).toEqual([whole.contentDigest, whole.contentDigest]);
    });
  });

  test("reads a file, and says by name when there is none", async () => {
    await withMemento(async (memento) => {
      const files = memento.caretaker("files");
      const file = path.join(folder, "input.bin");
      const bytes = noise(2 * MB);
      writeFileSync(file, bytes);
      const { id } = await files.saveStream(file, { id: "input", labels: { of: "today" }, description: "a file" });
      expect(Buffer.compare(await readAll(files, "input"), bytes)).toBe(0);
      expect(await files.info("input")).toMatchObject({ id, labels: { of: "today" }, description: "a file" });
      await expect(files.saveStream(path.join(folder, "none"))).rejects.toMatchObject({ code: "INPUT_MISSING" });
      await expect(files.saveStream(folder)).rejects.toMatchObject({ code: "IO_FAILED" });
      await expect(files.saveStream(Readable.from(["text"]) as never)).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
      });
    });
  });

  test("one byte before 20 MB costs less than 3 chunks; what was cut out costs nothing but its neighbour", async () => {
    await withMemento(async (memento) => {
      const files = memento.caretaker("files");
      const bytes = noise(20 * MB);
      await files.saveStream([bytes]);
      const before = await files.saveStream([Uint8Array.of(7), bytes]);
      expect(before.sizes.heldBytes).toBeLessThan(3 * MB);
      expect(await newChunks(memento, before.id)).toBeLessThan(3);
      const shorter = Buffer.concat([bytes.subarray(0, 5 * MB), bytes.subarray(9 * MB)]);
      const cut = await files.saveStream([shorter]);
      expect(await newChunks(memento, cut.id)).toBeLessThan(4);
      expect(Buffer.compare(await readAll(files, cut.id), shorter)).toBe(0);
      expect(Buffer.compare(await readAll(files, before.id), Buffer.concat([Uint8Array.of(7), bytes]))).toBe(0);
    });
  });

  test("chunks that repeat inside one stream are written once", async () => {
    await withMemento(async (memento) => {
      const files = memento.caretaker("files");
      const part = noise(4 * MB);
      const newBytes: number[] = [];
      const onProgress = (done: { readonly newBytes: number }): void => void newBytes.push(done.newBytes);
      const { id } = await files.saveStream([part, part, part], { onProgress });
      expect(newBytes.at(-1)).toBeLessThan(6 * MB);
      expect(Buffer.compare(await readAll(files, id), Buffer.concat([part, part, part]))).toBe(0);
    });
  });

  test("full writes everything again, and needs nothing of before", async () => {
    await withMemento(async (memento) => {
      const files = memento.caretaker("files");
      const bytes = noise(9 * MB);
      await files.saveStream([bytes]);
      const again = await files.saveStream([bytes], { full: true });
      expect(again.sizes.heldBytes).toBeGreaterThan(9 * MB);
      expect(await newChunks(memento, again.id)).toBeGreaterThan(20);
      expect(Buffer.compare(await readAll(files, again.id), bytes)).toBe(0);
    });
  });

  test("same name and same bytes is the same memento; other bytes, or a state, are refused with EXISTS", async () => {
    await withMemento(async (memento) => {
      const files = memento.caretaker("files");
      const bytes = noise(5 * MB);
      const { id } = await files.saveStream([bytes], { id: "dump" });
      expect((await files.saveStream(inPieces(bytes, 4_096), { id: "dump" })).id).toBe(id);
      await expect(files.saveStream([bytes, Uint8Array.of(1)], { id: "dump" })).rejects.toMatchObject({
        code: "EXISTS",
      });
      await files.save({ a: 1 }, { id: "state" });
      await expect(files.saveStream([bytes], { id: "state" })).rejects.toMatchObject({ code: "EXISTS" });
      const moved = await files.saveStream([bytes.subarray(1)], { id: "dump", replace: true });
      expect((await files.openStream("dump")).info.id).toBe(moved.id);
      expect(await liveParts(memento)).toBe(0);
    });
  });

  test("a stream is no state, and a state no stream", async () => {
    await withMemento(async (memento) => {
      const both = memento.caretaker("both");
      await both.save({ a: 1 }, { id: "state" });
      await both.saveStream([noise(100)], { id: "stream" });
      await expect(both.load("stream")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      await expect(both.openStream("state")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      expect(await both.latest()).toEqual({ a: 1 });
    });
  });
});

describe("a stream that is not finished", () => {
  test("leaves the state before, and nothing that is seen", async () => {
    await withMemento(async (memento) => {
      const files = memento.caretaker("files");
      const before = await files.saveStream([noise(1_000)]);
      const failing = async function* (): AsyncGenerator<Uint8Array> {
        yield noise(10 * MB, 2);
        expect(await Array.fromAsync(files.list(), ({ id }) => id)).toEqual([before.id]);
        expect((await files.statistics()).mementos).toBe(1);
        throw new Error("the line went dead");
      };
      await expect(files.saveStream(failing())).rejects.toThrow("the line went dead");
      expect(await Array.fromAsync(files.list(), ({ id }) => id)).toEqual([before.id]);
      expect(await liveParts(memento)).toBe(0);
    });
  });

  test.each([
    [
      "an input that gives nothing any more",
      async function* stuck(): AsyncGenerator<Uint8Array> {
        yield noise(5 * MB);
        await new Promise(() => undefined);
      },
    ],
    ["an empty one, when it had begun already", async function* empty(): AsyncGenerator<Uint8Array> {}],
  ])("is stopped by its signal: %s", { timeout: 10_000 }, async (what, input) => {
    await withMemento(async (memento) => {
      const stop = new AbortController();
      if (what.startsWith("an empty")) stop.abort();
      const saved = memento.caretaker("files").saveStream(input(), {
        signal: stop.signal,
        onProgress: () => setImmediate(() => stop.abort()),
      });
      await expect(saved).rejects.toMatchObject({ code: "CANCELLED" });
      expect(await liveParts(memento)).toBe(0);
      expect((await memento.statistics()).total.mementos).toBe(0);
    });
  });

  test("a Readable that gives nothing any more is let go when its save is stopped", { timeout: 10_000 }, async () => {
    await withMemento(async (memento) => {
      const input = new Readable({ read: () => undefined });
      input.push(noise(MB));
      const signal = AbortSignal.timeout(100);
      const saved = memento.caretaker("files").saveStream(input, { signal });
      await expect(saved).rejects.toMatchObject({ code: "CANCELLED" });
      expect(input.destroyed).toBe(true);
    });
  });

  test("is stopped by its signal with CANCELLED", async () => {
    await withMemento(async (memento) => {
      const files = memento.caretaker("files");
      const stop = new AbortController();
      const onProgress = (): void => stop.abort();
      const saved = files.saveStream(inPieces(noise(9 * MB), MB), { signal: stop.signal, onProgress });
      await expect(saved).rejects.toMatchObject({ code: "CANCELLED" });
      expect(await liveParts(memento)).toBe(0);
    });
  });
});

describe("streams at once", () => {
  test("of one originator do not touch each other's parts, and all of them are whole", async () => {
    await withMemento(async (memento) => {
      const files = memento.caretaker("files");
      const contents = [1, 2, 3].map((seed) => noise(9 * MB, seed));
      const saved = await Promise.all(contents.map((bytes) => files.saveStream(inPieces(bytes, MB / 2))));
      for (const [index, { id }] of saved.entries())
        expect(Buffer.compare(await readAll(files, id), contents[index] ?? new Uint8Array())).toBe(0);
      expect((await memento.verify()).damages).toEqual([]);
      expect(await liveParts(memento)).toBe(0);
    });
  });

  test("one that is removed and collected while it is read says so, and not that it is damaged", async () => {
    await withMemento(async (memento) => {
      const files = memento.caretaker("files");
      const { id } = await files.saveStream([noise(9 * MB)]);
      await files.saveStream([noise(MB, 2)]);
      const reading = (await files.openStream(id))[Symbol.asyncIterator]();
      await reading.next();
      await files.delete(id);
      await memento.collect();
      const rest = async (): Promise<void> => {
        while ((await reading.next()).done !== true);
      };
      await expect(rest()).rejects.toMatchObject({ code: "NOT_FOUND", message: expect.stringContaining(id) as string });
    });
  });

  test("a save in between moves the head: what was shared with the old one is kept all the same", async () => {
    await withMemento(async (memento) => {
      const files = memento.caretaker("files");
      const bytes = noise(6 * MB);
      await files.saveStream([bytes]);
      const input = async function* (): AsyncGenerator<Uint8Array> {
        yield bytes;
        await files.save({ in: "between" });
        yield noise(100, 3);
      };
      const { id } = await files.saveStream(input());
      expect(Buffer.compare(await readAll(files, id), Buffer.concat([bytes, noise(100, 3)]))).toBe(0);
      expect(await files.latest()).toEqual({ in: "between" });
      expect((await memento.verify()).damages).toEqual([]);
    });
  });
});

describe("a stream in a store that loses or changes bytes", () => {
  test("gives true bytes up to the damage, then DAMAGED, and never the last chunk", async () => {
    const { store } = await openStore("memory:");
    let damaged: string | null = null;
    let place = 0.5;
    const lying = interceptStore(store, async (call, proceed) => {
      const answer = await proceed();
      if (call.method !== "read" || call.args[0] !== damaged) return answer;
      const stored = answer as StoredMemento;
      const body = Uint8Array.from(stored.body ?? []);
      const at = Math.floor(body.length * place);
      body[at] = (body[at] ?? 0) ^ 1;
      return { ...stored, body } as typeof answer;
    });
    await using memento = await Memento.open(lying, { keys: { raw: [new Uint8Array(32).fill(7)] } });
    const files = memento.caretaker("files");
    const bytes = noise(9 * MB);
    const { id } = await files.saveStream([bytes]);
    const { directory } = await memento.vault.load(id);
    const holders = [...new Set([...directory.entries()].map(([, { holder }]) => holder))];
    expect(holders.length).toBeGreaterThan(3);
    expect(holders).toContain(id);
    for (const holder of holders) {
      damaged = holder;
      const given: Uint8Array[] = [];
      const reading = (async () => {
        for await (const chunk of await files.openStream(id)) given.push(chunk);
      })();
      await expect(reading).rejects.toMatchObject({ code: "DAMAGED", details: { id } });
      const length = given.reduce((sum, each) => sum + each.length, 0);
      expect(length).toBeLessThan(bytes.length);
      expect(Buffer.compare(Buffer.concat(given), bytes.subarray(0, length))).toBe(0);
    }
    // Where the stream's own record says what it is made of, it is found before anything is given.
    [damaged, place] = [id, 0];
    await expect(files.openStream(id)).rejects.toMatchObject({ code: "DAMAGED" });
  });

  test("a writer who was silent for too long is FENCED, and nothing of its stream is seen", async () => {
    const clock = new ManualClock();
    await using memento = await Memento.open("memory:", { clock });
    const files = memento.caretaker("files");
    const input = async function* (): AsyncGenerator<Uint8Array> {
      yield noise(5 * MB, 4);
      // Its lease runs out, and who comes next takes over and clears away; the process itself lives.
      clock.setNow(clock.now() + 3_600_000);
      expect((await removeOrphanParts(memento.vault)).length).toBeGreaterThan(0);
      yield noise(5 * MB, 5);
    };
    await expect(files.saveStream(input())).rejects.toMatchObject({ code: "FENCED" });
    expect(await Array.fromAsync(files.list())).toEqual([]);
    expect(await liveParts(memento)).toBe(0);
    const next = noise(5 * MB, 6);
    const { id } = await files.saveStream([next]);
    expect(Buffer.compare(await readAll(files, id), next)).toBe(0);
  });
});

describe("removeOrphanParts()", () => {
  test("leaves the parts of a stream on its way in alone", async () => {
    await withMemento(async (memento) => {
      const files = memento.caretaker("files");
      const bytes = noise(9 * MB);
      const input = async function* (): AsyncGenerator<Uint8Array> {
        yield bytes;
        expect(await removeOrphanParts(memento.vault)).toEqual([]);
        expect(await liveParts(memento)).toBeGreaterThan(0);
      };
      const { id } = await files.saveStream(input());
      expect(Buffer.compare(await readAll(files, id), bytes)).toBe(0);
    });
  });
});

async function liveParts(memento: Memento): Promise<number> {
  const query = { labels: {}, parts: true };
  let found = 0;
  for await (const { entry } of memento.vault.store.query(mementoQuery(query)))
    if ("memento.part" in entry.labels) found += 1;
  return found;
}

/** How many chunks of a stream were written for it: by itself, or by parts of its own. */
async function newChunks(memento: Memento, id: string): Promise<number> {
  const { directory, entry } = await memento.vault.load(id);
  const before = entry.parent === null ? null : (await memento.vault.load(entry.parent)).directory;
  return [...directory.entries()].filter(
    ([key, { holder }]) => key.startsWith("chunk/") && before?.get(key)?.holder !== holder,
  ).length;
}
