import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";

import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";

import { extent } from "../../../../../test/harness/extent.ts";
import { bench, load, type Row } from "../../../../../test/harness/number-runs.ts";
import { Memento } from "../../memento.ts";
import { memorySink, MemoryTable } from "../../orchestrator/sinks/index.ts";
import { verifyFile } from "../../portable.ts";
import { openStore } from "../../store/open-store.ts";
import { mementoQuery } from "../../store/query.ts";
import { encodeValue } from "../codec.ts";
import { rawKeyRing } from "../keys/key-ring.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-archive-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const raw = (byte: number) => ({ raw: [new Uint8Array(32).fill(byte)] });
const at = (name: string): string => path.join(folder, name);

async function open(url: string, keys: { raw: Uint8Array[] } | false): Promise<Memento> {
  const memento = await Memento.open((await openStore(url)).store, { keys });
  onTestFinished(async () => await memento.close());
  return memento;
}

const rows = (count: number, changed: number): unknown[] =>
  Array.from({ length: count }, (_, row) => ({ row, text: `row ${row}${row === changed ? " changed" : ""}` }));

/** A caretaker with deltas, shared pieces, names, removed mementos that others need and some that nobody needs, and a stream of parts. */
async function fill(memento: Memento): Promise<void> {
  const etl = memento.caretaker("etl");
  const first = await etl.save({ rows: rows(2_000, -1), step: 0 }, { id: "first", labels: { day: "1" } });
  for (let step = 1; step <= 20; step++) await etl.save({ rows: rows(2_000, step * 7), step }, { metadata: { step } });
  await etl.delete(first.id);
  const gone = await etl.save({ other: "nobody needs this secret" }, { originator: "second", full: true });
  await etl.delete(gone.id);
  await etl.save({ other: new Map([[1n, new Date(5)]]) }, { originator: "second", full: true, id: "moving" });
  await etl.save({ other: "moved" }, { originator: "second", id: "moving", replace: true, description: "it moved" });
  await Promise.all(
    ["a", "b", "c"].map(async (originator) => await etl.save({ originator, pad: "x".repeat(100) }, { originator })),
  );
  await etl.saveStream(Readable.from([Buffer.alloc(9_000_000, "chunk of a stream ")]), { id: "stream" });
  await memento.caretaker("other").save({ not: "exported" });
}

async function onlyTimeline(memento: Memento): Promise<string> {
  const states = await Array.fromAsync(memento.timelines());
  expect(states).toHaveLength(1);
  return states[0]?.record.key ?? "";
}

/** Everything that a store can say of a caretaker's live mementos. */
async function tell(memento: Memento, caretaker: string): Promise<unknown> {
  const told: Record<string, unknown> = {};
  for await (const { entry } of memento.vault.store.query(mementoQuery({ caretaker, order: "ascending" }))) {
    const opened = await memento.vault.load(entry.id);
    const values: Record<string, string> = {};
    for (const key of opened.keys())
      values[key] = Buffer.from(encodeValue(await opened.value(key)).bytes).toString("hex");
    const name = entry.name === undefined ? null : await memento.vault.store.findByName(caretaker, entry.name);
    told[entry.id] = {
      entry,
      digest: opened.digest,
      content: opened.contentDigest(),
      fields: opened.fields(),
      values,
      name,
    };
  }
  return told;
}

describe("exportTo() and importFrom() of a whole caretaker", () => {
  test.each([
    ["memory:", raw(2)],
    ["sqlite:", raw(3)],
    ["file:", raw(4)],
    ["sqlite:", false as const],
  ])("%s with %j: every memento is what it was, under other keys", async (scheme, keys) => {
    const source = await open("memory:", raw(1));
    await fill(source);
    const report = await source.exportTo(at("etl.memento"), { caretaker: "etl" });
    expect(report).toMatchObject({ content: "caretaker", sealed: true, bytes: readFileSync(at("etl.memento")).length });
    const target = await open(scheme === "memory:" ? scheme : `${scheme}${at("target")}`, keys);
    const imported = await target.importFrom(at("etl.memento"), { keys: raw(1) });
    expect(imported).toMatchObject({ imported: report.mementos, alreadyThere: false, signer: report.signer });
    expect(await tell(target, "etl")).toEqual(await tell(source, "etl"));
    expect((await target.verify()).damages).toEqual([]);
    expect(await tell(target, "other")).toEqual({});
    const again = await target.importFrom(at("etl.memento"), { keys: raw(1) });
    expect(again).toMatchObject({ imported: 0, alreadyThere: true });
    expect(await target.caretaker("etl").latest("default")).toEqual({ rows: rows(2_000, 140), step: 20 });
    await target.caretaker("etl").save({ rows: rows(2_000, 3), step: 21 });
    expect((await target.verify()).damages).toEqual([]);
  });

  test("what was removed and nobody needs does not travel, and what is needed travels masked", async () => {
    const source = await open("memory:", raw(1));
    await fill(source);
    await source.exportTo(at("plain.memento"), { caretaker: "etl" }, { keys: false });
    const target = await open("memory:", false);
    await target.importFrom(at("plain.memento"));
    const bytes: Buffer[] = [];
    for await (const { header, body } of target.vault.store.commits(null))
      bytes.push(Buffer.from(header), Buffer.from(body ?? []));
    expect(Buffer.concat(bytes).toString("latin1")).toContain("moved");
    expect(Buffer.concat(bytes).toString("latin1")).not.toContain("nobody needs this secret");
  });
});

describe("importFrom() of a timeline", () => {
  test("goes on where an earlier one ended, and refuses a timeline that went another way", async () => {
    const source = await open("memory:", raw(1));
    const etl = source.caretaker("etl");
    await etl.save({ n: 1 });
    const timeline = await onlyTimeline(source);
    await source.exportTo(at("one.memento"), { timeline });
    await etl.save({ n: 2 }, { id: "two" });
    await source.exportTo(at("two.memento"), { timeline });
    const target = await open("memory:", raw(1));
    await target.importFrom(at("one.memento"));
    expect(await target.importFrom(at("two.memento"))).toMatchObject({ imported: 1 });
    expect(await tell(target, "etl")).toEqual(await tell(source, "etl"));
    expect(await target.importFrom(at("one.memento"))).toMatchObject({ imported: 0, alreadyThere: true });
    const parted = await open("memory:", raw(1));
    await parted.importFrom(at("one.memento"));
    await parted.caretaker("etl").save({ n: "another way" });
    await expect(parted.importFrom(at("two.memento"))).rejects.toMatchObject({ code: "CONFLICT" });
  });

  test("refuses an address that is taken with EXISTS; its head alone becomes a fork, once", async () => {
    const source = await open("memory:", raw(1));
    await source.caretaker("etl").save({ n: 1 });
    await source.caretaker("etl").save({ n: 2 });
    const timeline = await onlyTimeline(source);
    await source.exportTo(at("one.memento"), { timeline });
    const target = await open("memory:", raw(1));
    await target.caretaker("etl").save({ mine: true });
    await expect(target.importFrom(at("one.memento"))).rejects.toMatchObject({ code: "EXISTS" });
    const forked = await target.importFrom(at("one.memento"), { fork: "theirs" });
    expect(forked.timelines).toMatchObject([{ name: "etl/default#theirs", isNew: true }]);
    expect(await target.caretaker("etl").load(forked.made ?? "")).toEqual({ n: 2 });
    expect(await target.importFrom(at("one.memento"), { fork: "theirs" })).toMatchObject({
      alreadyThere: true,
      made: forked.made,
    });
    expect((await target.verify()).damages).toEqual([]);
  });

  test("refuses a name that belongs to somebody else, before anything is written", async () => {
    const source = await open("memory:", raw(1));
    await source.caretaker("etl").save({ n: 1 }, { id: "daily" });
    const timeline = await onlyTimeline(source);
    await source.exportTo(at("one.memento"), { timeline });
    const target = await open("memory:", raw(1));
    await target.caretaker("etl").save({ mine: true }, { id: "daily", originator: "mine" });
    const before = await Array.fromAsync(target.vault.store.commits(null));
    await expect(target.importFrom(at("one.memento"))).rejects.toMatchObject({ code: "EXISTS" });
    expect(await Array.fromAsync(target.vault.store.commits(null))).toHaveLength(before.length);
  });
});

describe("a fork's timeline", () => {
  test("brings the line that it was forked from, up to what it needs, and both go on", async () => {
    const { memento: source, data } = await bench();
    const pipeline = load(() => memorySink({ table: data }));
    await source.run(pipeline);
    const entries = await Array.fromAsync(source.history(pipeline));
    const middle = entries.find(({ sequence }) => sequence === 3)?.id ?? "";
    const { timeline } = await source.fork(middle, { name: "try" });
    const report = await source.exportTo(at("fork.memento"), { timeline });
    expect(report).toMatchObject({ timelines: 2, mementos: 4 });
    const target = await open("memory:", raw(3));
    await target.importFrom(at("fork.memento"), { keys: raw(7) });
    expect((await target.verify()).damages).toEqual([]);
    expect((await Array.fromAsync(target.history(pipeline))).map(({ id }) => id)).toEqual(
      entries.filter(({ sequence }) => sequence <= 3).map(({ id }) => id),
    );
    const elsewhere = new MemoryTable<Row>();
    const forked = load(() => memorySink({ table: elsewhere }));
    expect(await target.run(forked, { fork: "try" })).toMatchObject({ status: "completed", resumed: true });
    await source.exportTo(at("main.memento"), { caretaker: "pipelines" });
    const whole = await open("memory:", raw(4));
    await whole.importFrom(at("fork.memento"), { keys: raw(7) });
    await whole.importFrom(at("main.memento"), { keys: raw(7) });
    expect(await Array.fromAsync(whole.history(pipeline))).toHaveLength(entries.length);
    expect((await whole.verify()).damages).toEqual([]);
  });
});

describe("importFrom() of one memento", () => {
  test("makes a new memento with the same content, names its origin, and finds it the second time", async () => {
    const source = await open("memory:", raw(1));
    const etl = source.caretaker("etl");
    await etl.save({ rows: rows(2_000, 1), n: 1 });
    const info = await etl.save(
      { rows: rows(2_000, 2), n: 2 },
      { id: "two", metadata: { a: 1 }, labels: { day: "2" } },
    );
    const report = await source.exportTo(at("one.memento"), { memento: info.id });
    expect(report.mementos).toBe(1);
    const target = await open(`sqlite:${at("target.db")}`, raw(9));
    const { made } = await target.importFrom(at("one.memento"), { keys: raw(1) });
    const there = await target.caretaker("etl").info("two");
    expect(there).toMatchObject({
      id: made,
      contentDigest: info.contentDigest,
      metadata: { a: 1 },
      labels: { day: "2" },
    });
    expect(there.id).not.toBe(info.id);
    expect(there.labels["memento.origin"]).toBe(`${source.vault.meta.id}/${info.id}`);
    expect(await target.caretaker("etl").load("two")).toEqual({ rows: rows(2_000, 2), n: 2 });
    expect(await target.importFrom(at("one.memento"), { keys: raw(1) })).toMatchObject({ alreadyThere: true, made });
    expect((await target.verify()).damages).toEqual([]);
  });

  test("becomes a fork where its address is taken", async () => {
    const source = await open("memory:", raw(1));
    const { id } = await source.caretaker("etl").save({ n: 1 });
    const { id: file } = await source.exportTo(at("one.memento"), { memento: id });
    const target = await open("memory:", raw(1));
    await target.caretaker("etl").save({ mine: true });
    const imported = await target.importFrom(at("one.memento"));
    expect(imported.timelines).toMatchObject([{ name: `etl/default#import-${file.slice(0, 8)}` }]);
    expect(await target.caretaker("etl").load(imported.made ?? "")).toEqual({ n: 1 });
  });

  test("a saved stream comes back in pieces", async () => {
    const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => `${index} `).join(""));
    const source = await open("memory:", raw(1));
    const { id } = await source.caretaker("etl").saveStream(Readable.from([bytes]), { id: "stream" });
    await source.exportTo(at("one.memento"), { memento: id });
    const target = await open("memory:", raw(2));
    await target.importFrom(at("one.memento"), { keys: raw(1) });
    const read = await Array.fromAsync(await target.caretaker("etl").openStream("stream"));
    expect(Buffer.concat(read).equals(bytes)).toBe(true);
    expect((await target.verify()).damages).toEqual([]);
  });
});

describe("seal, signature and trust", () => {
  test("a sealed file shows nothing, and opens with its key only", async () => {
    const source = await open("memory:", raw(1));
    const { id } = await source.caretaker("etl").save({ card: "4111-secret" }, { description: "4111-secret" });
    await source.exportTo(at("one.memento"), { memento: id });
    expect(readFileSync(at("one.memento")).toString("latin1")).not.toContain("4111");
    const target = await open("memory:", raw(2));
    await expect(target.importFrom(at("one.memento"))).rejects.toMatchObject({ code: "KEY_WRONG" });
    const bare = await open("memory:", false);
    await expect(bare.importFrom(at("one.memento"))).rejects.toMatchObject({ code: "KEY_MISSING" });
    expect(await verifyFile(at("one.memento"))).toMatchObject({ sealed: true, opened: false, content: "memento" });
    expect(await verifyFile(at("one.memento"), { keys: raw(1) })).toMatchObject({ opened: true });
  });

  test("a sealed store signs with the same key always; one that is not never twice with the same", async () => {
    const signers = async (memento: Memento): Promise<string[]> => {
      const { id } = await memento.caretaker("etl").save({ n: 1 });
      const found: string[] = [];
      for (const name of ["a", "b"])
        found.push((await memento.exportTo(at(`${memento.vault.meta.id}.${name}`), { memento: id })).signer);
      return found;
    };
    const [a, b] = await signers(await open("memory:", raw(1)));
    expect(a).toBe(b);
    expect(a).toMatch(/^ed25519:[\w-]{43}$/u);
    const [c, d] = await signers(await open("memory:", false));
    expect(c).not.toBe(d);
  });

  test("refuses a signer that is not trusted", async () => {
    const source = await open("memory:", raw(1));
    const { id } = await source.caretaker("etl").save({ n: 1 });
    const { signer } = await source.exportTo(at("one.memento"), { memento: id });
    const target = await open("memory:", raw(1));
    await expect(target.importFrom(at("one.memento"), { trust: ["ed25519:other"] })).rejects.toMatchObject({
      code: "SIGNER_UNTRUSTED",
    });
    expect(await target.importFrom(at("one.memento"), { trust: [signer] })).toMatchObject({ imported: 1 });
  });

  test("a dry run changes nothing", async () => {
    const source = await open("memory:", raw(1));
    await fill(source);
    await source.exportTo(at("etl.memento"), { caretaker: "etl" });
    const target = await open("memory:", raw(1));
    const report = await target.importFrom(at("etl.memento"), { dryRun: true });
    expect(report.timelines.every(({ isNew }) => isNew)).toBe(true);
    expect(await Array.fromAsync(target.timelines())).toEqual([]);
  });
});

describe("a file", () => {
  test("takes the place of no device", async () => {
    const source = await open("memory:", raw(1));
    await source.caretaker("etl").save({ n: 1 });
    symlinkSync("/dev/null", at("null.memento"));
    const exported = source.exportTo(at("null.memento"), { store: true }, { replace: true });
    await expect(exported).rejects.toMatchObject({ code: "IO_FAILED", hint: expect.stringContaining("`-`") as string });
    expect(readlinkSync(at("null.memento"))).toBe("/dev/null");
  });

  test("is never replaced unless asked for, and a failure leaves nothing behind", async () => {
    const source = await open("memory:", raw(1));
    const { id } = await source.caretaker("etl").save({ n: 1 });
    writeFileSync(at("one.memento"), "precious");
    await expect(source.exportTo(at("one.memento"), { memento: id })).rejects.toMatchObject({ code: "EXISTS" });
    expect(readFileSync(at("one.memento"), "utf8")).toBe("precious");
    await source.exportTo(at("one.memento"), { memento: id }, { replace: true });
    await expect(source.exportTo(at("two.memento"), { memento: "abcdefghjkmn-1-abcdef" })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    expect(readdirSync(folder)).toEqual(["one.memento"]);
  });

  test.each([true, false])(
    "every byte flipped and every length cut is refused by name (sealed: %j)",
    async (sealed) => {
      const source = await open("memory:", raw(1));
      const etl = source.caretaker("etl");
      await etl.save({ rows: rows(30, 1), n: 1 });
      await etl.delete((await etl.save({ rows: rows(30, 2), n: 2 })).id);
      await etl.save({ rows: rows(30, 3), n: 3 });
      await source.exportTo(at("etl.memento"), { caretaker: "etl" }, sealed ? {} : { keys: false });
      const good = readFileSync(at("etl.memento"));
      const target = await open("memory:", raw(1));
      const refused = async (bytes: Uint8Array): Promise<void> => {
        const work = target.importFrom(Readable.from([bytes]), { name: "The file X" });
        await expect(work).rejects.toMatchObject({
          code: expect.stringMatching(/^(?:DAMAGED|FORMAT_UNKNOWN|KEY_WRONG|KEY_MISSING)$/u),
          message: expect.stringContaining("The file X"),
        });
        // Without a key it is refused too.
        await expect(verifyFile(Readable.from([bytes]), { name: "The file X" })).rejects.toThrow(/The file X/u);
      };
      for (let position = 0; position < good.length; position += extent({ plain: 5, all: 1 })) {
        const bad = Uint8Array.from(good);
        bad[position] = (bad[position] ?? 0) ^ (1 << (position % 8));
        await refused(bad);
        await refused(good.subarray(0, position));
      }
      await refused(Buffer.concat([good, Buffer.from([0])]));
      expect(await Array.fromAsync(target.timelines())).toEqual([]);
      expect(await target.importFrom(Readable.from([good]))).toMatchObject({ imported: 2 });
    },
    240_000,
  );

  test("that is exchanged between the check and the import is refused before anything of it is used", async () => {
    const source = await open("memory:", false);
    const { id } = await source.caretaker("etl").save({ n: 1 });
    await source.exportTo(at("one.memento"), { memento: id });
    await source.exportTo(at("other.memento"), { memento: id });
    const target = await open("memory:", false);
    const { acquireLease } = target.vault.store;
    // The lease is taken after the check: now the file has other bytes.
    target.vault.store.acquireLease = async (change) => {
      writeFileSync(at("one.memento"), readFileSync(at("other.memento")));
      return await acquireLease.call(target.vault.store, change);
    };
    await expect(target.importFrom(at("one.memento"))).rejects.toMatchObject({
      code: "DAMAGED",
      message: expect.stringContaining("changed while it was read"),
    });
    expect(await tell(target, "etl")).toEqual({});
  });

  test("of an unknown version is refused by name", async () => {
    const source = await open("memory:", raw(1));
    const { id } = await source.caretaker("etl").save({ n: 1 });
    await source.exportTo(at("one.memento"), { memento: id });
    const bytes = readFileSync(at("one.memento"));
    bytes.writeUInt32BE(7, 8);
    await expect(verifyFile(Readable.from([bytes]), { name: "x.memento" })).rejects.toMatchObject({
      code: "FORMAT_UNKNOWN",
      message: "x.memento is a portable file of format version 7; this release reads versions 1 and 2",
    });
  });
});

test("a ring of one's own seals a file", async () => {
  const source = await open("memory:", false);
  const { id } = await source.caretaker("etl").save({ n: 1 });
  const ring = rawKeyRing([new Uint8Array(32).fill(8)]);
  expect(await source.exportTo(at("one.memento"), { memento: id }, { keys: ring })).toMatchObject({ sealed: true });
  const target = await open("memory:", false);
  expect(await target.importFrom(at("one.memento"), { keys: ring })).toMatchObject({ imported: 1 });
});
