import { describe, expect, test } from "vitest";

import { sha256 } from "../core/digest.ts";
import type { MementoEntry } from "../core/memento.ts";
import { systemRandom } from "../core/ports.ts";
import { decodePackHeader } from "../store/header.ts";
import { buildLaidPack, buildPack, layOutPack, type PackItem } from "./pack.ts";
import type { HeldPiece } from "./record.ts";
import { manifestOf, openPack, type OpenedPack } from "./repack.ts";

const entry = (id: string, sequence: number): MementoEntry => ({
  id,
  timeline: "000000000000",
  sequence,
  parent: null,
  epoch: 1,
  generation: 0,
  caretaker: "c",
  originator: "o",
  kind: "value",
  reason: "save",
  status: "saved",
  created: "2026-01-02T03:04:05.678Z",
  labels: {},
  metadata: {},
  sizes: { logicalBytes: 0, heldBytes: 0 },
});

function item(sequence: number, pieces: Readonly<Record<string, number>>): PackItem {
  const id = `000000000000-${sequence}-000000`;
  const held = Object.entries(pieces).map(([key, length], index): HeldPiece => {
    const bytes = Buffer.alloc(length, `${sequence}:${key}:${index} `);
    return { key, encoding: "json", bytes, contentBytes: length, digest: sha256(bytes), base: null, section: null };
  });
  return {
    entry: entry(id, sequence),
    parentDigest: null,
    base: null,
    layer: { id, depth: 1, changes: new Map() },
    held,
  };
}

async function packed(...items: readonly PackItem[]): Promise<OpenedPack> {
  const pack = await buildPack(items, null, systemRandom, { codec: "zstd" });
  return openPack(pack, null, "the pack");
}

/** The section of each piece; each is checked to be where its manifest says. */
function sectionsOf(opened: OpenedPack, items: readonly PackItem[]): Record<string, number>[] {
  return items.map(({ held }, slot) => {
    const manifest = manifestOf(opened, slot);
    return Object.fromEntries(
      held.map(({ key, bytes }) => {
        const place = manifest?.held.get(key);
        const section = opened.sections[place?.section ?? -1];
        const found = section?.subarray(place?.offset ?? 0, (place?.offset ?? 0) + bytes.length);
        expect(Buffer.compare(found ?? new Uint8Array(), bytes)).toBe(0);
        return [key, place?.section ?? -1];
      }),
    );
  });
}

describe("buildPack()", () => {
  test("gives a piece whose compression has begun a section of its own, up to as many as there may be", async () => {
    const begun = item(1, Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`p${n}`, 20_000 + n])));
    const held = begun.held.map((piece): HeldPiece => {
      const { bytes } = piece;
      return { ...piece, section: Promise.resolve({ codec: "none", plainBytes: bytes.length, bytes }) };
    });
    const items = [{ ...begun, held }, item(2, { rows: 100_000, more: 5_000 })];
    const opened = await packed(...items);
    const [first = {}, second = {}] = sectionsOf(opened, items);
    expect(opened.sections).toHaveLength(256);
    expect(Object.values(first).slice(0, 254)).toEqual(Array.from({ length: 254 }, (_, n) => n + 1));
    expect(new Set([...Object.values(first).slice(254), ...Object.values(second)])).toEqual(new Set([255]));
  });

  test("lays a small piece beside the manifests, whatever large ones come with it: those who need it alone open no large section", async () => {
    const items = [item(1, { rows: 100_000, offsets: 40, more: 5_000, state: 4_095 })];
    expect(sectionsOf(await packed(...items), items)).toEqual([{ rows: 1, offsets: 0, more: 1, state: 0 }]);
  });

  test("lays everything beside the manifests where it is little in all", async () => {
    const items = [item(1, { rows: 9_000 }), item(2, { rows: 7_000, offsets: 384 })];
    expect(sectionsOf(await packed(...items), items)).toEqual([{ rows: 0 }, { rows: 0, offsets: 0 }]);
  });

  test("lays no more than 16 KB beside the manifests of a larger pack", async () => {
    const items = Array.from({ length: 40 }, (_, index) => item(index + 1, { output: 1_000 }));
    const sections = sectionsOf(await packed(...items), items).map(({ output }) => output);
    expect(sections).toEqual([...Array<number>(16).fill(0), ...Array<number>(24).fill(1)]);
  });

  test("begins a section of its own behind one of 4 MB", async () => {
    const items = [item(1, { one: 4_194_303, two: 5_000, three: 6_000, small: 10 })];
    expect(sectionsOf(await packed(...items), items)).toEqual([{ one: 1, two: 1, three: 2, small: 0 }]);
  });

  test("the store that takes it has its header without reading it again, and it says what was written", async () => {
    const items = [item(1, { rows: 40 }), item(2, { rows: 50 })];
    const { header } = await buildPack(items, null, systemRandom, { codec: "zstd" });
    const known = decodePackHeader(header, "the pack");
    expect(known).toEqual(decodePackHeader(Uint8Array.from(header), "the pack"));
    expect(known.entries[0]).toBe(items[0]?.entry);
  });
});

describe("layOutPack()", () => {
  const many = Array.from({ length: 30 }, (_, index) => item(index + 1, { output: 300, "größe 🚀": 40 }));

  test("what another thread makes of it is byte for byte the pack that is made here", async () => {
    for (const codec of ["zstd", "gzip", "none"] as const) {
      const laid = layOutPack(many, null, { codec });
      expect(laid).not.toBeNull();
      if (laid === null) return;
      const there = await buildLaidPack(structuredClone(laid), systemRandom);
      expect(there).toEqual(await buildPack(many, null, systemRandom, { codec }));
      expect(sectionsOf(openPack(there, null, "the pack"), many)).toHaveLength(30);
    }
  });

  test("P4: is sealed there as here, under a nonce of its own", async () => {
    const key = { id: "d1", key: systemRandom.bytes(32) };
    const laid = layOutPack(many, key, { codec: "zstd" });
    if (laid === null) throw new TypeError("it has little in all");
    const [one, two] = [await buildLaidPack(laid, systemRandom), await buildLaidPack(laid, systemRandom)];
    expect(Buffer.compare(one.body, two.body)).not.toBe(0);
    for (const pack of [one, two]) {
      expect(Buffer.from(pack.body).includes("output")).toBe(false);
      const opened = openPack(pack, key, "the pack");
      expect(opened.header).toMatchObject({ suite: "A256GCM", dataKey: "d1", v: 1 });
      sectionsOf(opened, many);
    }
  });

  test("names the format version that deltas need", async () => {
    const [first, ...others] = many.map((one) => ({
      ...one,
      held: one.held.map((piece): HeldPiece => ({ ...piece, base: { holder: "000000000000-1-000000", step: 1 } })),
    }));
    if (first === undefined) throw new TypeError("there are 30");
    const laid = layOutPack([first, ...others], null, { codec: "zstd" });
    if (laid === null) throw new TypeError("it has little in all");
    expect(openPack(await buildLaidPack(laid, systemRandom), null, "the pack").header.v).toBe(2);
  });

  test("is for packs whose pieces are little in all", () => {
    expect(layOutPack([item(1, { rows: 16_384 })], null, { codec: "zstd" })).not.toBeNull();
    expect(layOutPack([item(1, { rows: 16_385 })], null, { codec: "zstd" })).toBeNull();
  });
});
