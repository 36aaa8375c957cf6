import path from "node:path";
import { Readable } from "node:stream";

import { describe, expect, onTestFinished, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { mayMount, withSmallDisk } from "../../../../../test/harness/small-disk.ts";
import { MementoError } from "../../core/errors.ts";
import { systemClock, type Clock } from "../../core/ports.ts";
import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import { mementoQuery } from "../../store/query.ts";
import type { MementoStore } from "../../store/store.ts";
import { interceptStore } from "../../store/wrap/intercept.ts";
import { chaosStore } from "../../testing/chaos-store.ts";

const keysOf = (byte: number) => ({ raw: [new Uint8Array(32).fill(byte)] });

async function open(byte: number, store?: MementoStore, clock: Clock = systemClock): Promise<Memento> {
  const memento = await Memento.open(store ?? (await MemoryStore.open()), { keys: keysOf(byte), clock });
  onTestFinished(async () => await memento.close());
  return memento;
}

const rows = (changed: number): string[] =>
  Array.from({ length: 300 }, (_, row) => (row === changed ? `row ${row} changed` : `row ${row}`));

/** Deltas, names, a removed memento that others need, removed ones that nobody needs, a stream, and two caretakers that take turns. */
async function fill(memento: Memento): Promise<void> {
  const [etl, other] = [memento.caretaker("etl"), memento.caretaker("öther 漢字 🚚")];
  await other.setPolicy({ maxCount: 9 });
  const first = await etl.save({ rows: rows(-1) }, { id: "näme", labels: { tåg: "ß" } });
  for (let step = 0; step < 4; step++) {
    await etl.save({ rows: rows(step), step });
    await other.save({ step }, { originator: `o${step % 2}`, full: true, id: `step ${step}` });
  }
  await etl.delete(first.id);
  const gone = await other.save({ gone: true }, { originator: "o0", full: true });
  await other.save({ after: true }, { originator: "o0", full: true });
  await other.delete(gone.id);
  await memento.collect();
  await etl.delete((await etl.save({ rows: rows(7) }, { originator: "short" })).id);
  await etl.saveStream(Readable.from([Buffer.alloc(200_000, "a stream ")]), { id: "stream" });
  await other.pin((await other.info("step 3")).id);
}

async function tell(memento: Memento): Promise<unknown> {
  const told: unknown[] = [];
  for await (const { entry } of memento.vault.store.query(mementoQuery({ order: "ascending" })))
    told.push([entry, (await memento.vault.load(entry.id)).digest]);
  return told;
}

describe("copyTo()", () => {
  test("killed before a removal is repeated it leaves what later mementos need of the removed one", async () => {
    const source = await open(1);
    const etl = source.caretaker("etl");
    const { id } = await etl.save({ rows: rows(-1) });
    await etl.save({ rows: rows(1) });
    await etl.save({ rows: rows(2) });
    await etl.delete(id);
    let isDead = false;
    const dying = interceptStore(await MemoryStore.open(), async ({ method }, proceed) => {
      if (method === "remove" && !isDead) {
        isDead = true;
        throw new Error("the process is dead");
      }
      return await proceed();
    });
    const target = await open(2, dying);
    await expect(source.copyTo(target)).rejects.toThrow("the process is dead");
    expect(await source.copyTo(target)).toMatchObject({ verified: { identical: true, mementos: 2 } });
    expect((await target.verify()).damages).toEqual([]);
    expect(await tell(target)).toEqual(await tell(source));
  });

  test("brings caretakers, pins, names, epochs and every memento, in their order, under other keys; again it does nothing", async () => {
    const [source, target] = [await open(1), await open(2)];
    await fill(source);
    const report = await source.copyTo(target);
    expect(report).toMatchObject({ verified: { identical: true, missing: 0 }, onlyInTarget: 0, present: 0 });
    expect(await tell(target)).toEqual(await tell(source));
    expect((await target.verify()).damages).toEqual([]);
    const other = target.caretaker("öther 漢字 🚚");
    expect(await other.policy()).toEqual({ maxCount: 9 });
    expect((await other.pins()).map(({ id }) => id)).toEqual([(await other.info("step 3")).id]);
    expect(await other.load("step 2")).toEqual({ step: 2 });
    const again = await source.copyTo(target);
    expect(again).toMatchObject({ copied: 0, removedCopied: 0, newTimelines: 0, bytes: 0, evidence: 0 });
    expect(again.caretakers).toEqual({ copied: [], kept: [] });
    expect(again.verified).toEqual(report.verified);
    // Both go on, and what comes later is copied as well.
    await source.caretaker("etl").save({ rows: rows(9), later: true });
    expect(await source.copyTo(target)).toMatchObject({ copied: 1, verified: { identical: true } });
  });

  test("an empty store is copied, and gives the digest of nothing", async () => {
    const report = await (await open(1)).copyTo(await open(2));
    expect(report).toMatchObject({ copied: 0, timelines: 0, verified: { identical: true, mementos: 0 } });
  });

  test("a store is not copied into itself", async () => {
    const source = await open(1);
    await expect(source.copyTo(source)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("stopped before or after any call of the target: the next copy makes it whole", async () => {
    const source = await open(1);
    await fill(source);
    const wanted = await tell(source);
    let stops = 0;
    for (let call = 1; ; call++) {
      const store = await MemoryStore.open();
      await Memento.open(store, { keys: keysOf(2) });
      let isDead = false;
      const die = (): never => {
        isDead = true;
        throw new MementoError("IO_FAILED", "The process is gone");
      };
      const chaos = chaosStore(store, {
        before: ({ number }) => (isDead || (call % 2 === 0 && number === call) ? die() : undefined),
        after: ({ number }) => (call % 2 === 1 && number === call ? die() : undefined),
      });
      const dying = await Memento.open(chaos, { keys: keysOf(2) }).catch(() => null);
      const hasEnded =
        dying === null
          ? false
          : await source.copyTo(dying).then(
              () => true,
              () => false,
            );
      // Its leases have run out by now.
      const clock = { ...systemClock, now: () => systemClock.now() + 120_000 };
      const target = await Memento.open(store, { keys: keysOf(2), clock });
      // What nobody needs yet may be collected in between.
      if (call % 3 === 0) await target.collect();
      const report = await source.copyTo(target);
      expect([call, report.verified?.identical, report.onlyInTarget]).toEqual([call, true, 0]);
      expect([call, await tell(target)]).toEqual([call, wanted]);
      expect([call, (await target.verify()).damages]).toEqual([call, []]);
      if (hasEnded) break;
      stops += 1;
    }
    expect(stops).toBeGreaterThan(50);
  }, 120_000);

  test("a source whose bytes were cut or changed is refused by name, and what came before stays whole", async () => {
    const store = await MemoryStore.open();
    const source = await open(1, store);
    await fill(source);
    const victim = (await source.caretaker("öther 漢字 🚚").info("step 3")).id;
    const read = store.read.bind(store);
    store.read = async (id) => {
      const found = await read(id);
      return id === victim && found?.body ? { ...found, body: found.body.subarray(0, -3) } : found;
    };
    const target = await open(2);
    await expect(source.copyTo(target)).rejects.toMatchObject({
      code: "DAMAGED",
      message: expect.stringContaining(victim) as string,
    });
    expect((await target.verify()).damages).toEqual([]);
    for await (const { lease } of target.timelines()) expect(lease.owner).toBeNull();
    // Once it is mended the copy goes on.
    store.read = read;
    expect((await source.copyTo(target)).verified).toMatchObject({ identical: true });
  });

  test("Ctrl-C leaves all whole, and the bandwidth is kept to", async () => {
    const [source, target] = [await open(1), await open(2)];
    await fill(source);
    let waitedMs = 0;
    const slow = { ...systemClock, sleep: async (ms: number) => void (waitedMs += ms) };
    const limited = await Memento.open(source.vault.store, { keys: keysOf(1), clock: slow });
    const report = await limited.copyTo(target, { bytesPerSecond: 10_000, verify: "none" });
    expect(report.verified).toBeNull();
    expect(waitedMs).toBeGreaterThan(report.bytes / 20);
    const stop = new AbortController();
    const half = await open(3);
    const stopped = source.copyTo(half, {
      signal: stop.signal,
      onProgress: ({ mementos }) => (mementos > 3 ? stop.abort(new MementoError("CANCELLED", "enough")) : undefined),
    });
    await expect(stopped).rejects.toMatchObject({ code: "CANCELLED" });
    expect((await half.verify()).damages).toEqual([]);
    expect((await source.copyTo(half)).verified).toMatchObject({ identical: true });
  });

  test("a timeline that went another way, an address and a name that are taken are refused, and nothing is lost", async () => {
    const source = await open(1);
    await source.caretaker("etl").save({ one: 1 });
    const target = await open(2);
    await source.copyTo(target);
    await source.caretaker("etl").save({ mine: true });
    await target.caretaker("etl").save({ theirs: true });
    await expect(source.copyTo(target)).rejects.toMatchObject({ code: "CONFLICT" });
    expect(await target.caretaker("etl").latest("default")).toEqual({ theirs: true });
    const taken = await open(3);
    await taken.caretaker("etl").save({ other: true });
    await expect(source.copyTo(taken)).rejects.toMatchObject({ code: "EXISTS" });
    const named = await open(4);
    await named.caretaker("etl").save({ other: true }, { id: "näme", originator: "elsewhere" });
    await source.caretaker("etl").save({ named: true }, { id: "näme" });
    await expect(source.copyTo(named)).rejects.toMatchObject({ code: "EXISTS" });
    expect(await named.caretaker("etl").load("näme")).toEqual({ other: true });
  });

  test("a target that went on by itself is left alone where it is ahead", async () => {
    const [source, target] = [await open(1), await open(2)];
    await fill(source);
    await source.copyTo(target);
    await target.caretaker("etl").save({ ahead: true });
    expect(await source.copyTo(target)).toMatchObject({ copied: 0, verified: { identical: true } });
    expect(await target.caretaker("etl").latest("default")).toEqual({ ahead: true });
  });

  test("a caretaker, a timeline or chosen mementos come with what they need, and with nothing else", async () => {
    const source = await open(1);
    await fill(source);
    const etl = await open(2);
    const one = await source.copyTo(etl, { selection: { caretaker: "etl" } });
    expect(one).toMatchObject({ verified: { identical: true } });
    expect(one.caretakers.copied).toEqual([]);
    expect((await etl.verify()).damages).toEqual([]);
    const chosen = await source.caretaker("öther 漢字 🚚").info("step 2");
    const single = await open(3);
    const three = await source.copyTo(single, { selection: { mementos: [chosen.id] } });
    expect(three).toMatchObject({ copied: 1, verified: { identical: true, mementos: 1 } });
    expect(await tell(single)).toHaveLength(1);
    expect(await single.caretaker("öther 漢字 🚚").load("step 2")).toEqual({ step: 2 });
    expect((await single.verify()).damages).toEqual([]);
    const line = await open(4);
    const [timeline = ""] = chosen.id.split("-");
    const two = await source.copyTo(line, { selection: { timelines: [timeline] } });
    expect(two).toMatchObject({ timelines: 1, verified: { identical: true } });
    expect((await line.verify()).damages).toEqual([]);
    const missing = source.copyTo(await open(5), { selection: { caretaker: "nobody" } });
    await expect(missing).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(
      source.copyTo(await open(5), { selection: { caretaker: "etl", mementos: [chosen.id] } }),
    ).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

const hasDisks = await requireEngine("a small tmpfs (root)", mayMount);

describe.skipIf(!hasDisks)("a target's disk", () => {
  test("that is full is told as DISK_FULL; the copy goes on where it was when there is room", async () => {
    const source = await open(1);
    await fill(source);
    await withSmallDisk("size=200k", async (mount, remount) => {
      const noise = new Uint8Array(400_000).map((_, at) => (at * 7919 * (at % 251)) % 256);
      await source.caretaker("etl").save({ noise: Buffer.from(noise).toString("base64") });
      const url = `sqlite:${path.join(mount, "full.db")}`;
      await using full = await Memento.open(url, { keys: keysOf(2) });
      await expect(source.copyTo(full)).rejects.toMatchObject({ code: "DISK_FULL" });
      remount("size=20m");
      // A full disk takes no release of a lease either: it has run out by now.
      const clock = { ...systemClock, now: () => systemClock.now() + 120_000 };
      await using target = await Memento.open(url, { keys: keysOf(2), clock });
      expect((await source.copyTo(target)).verified).toMatchObject({ identical: true });
      expect((await target.verify()).damages).toEqual([]);
    });
  });
});
