import { expect, test } from "vitest";

import type { BlobPort } from "../../packages/memento/src/store/blobs/blob-port.ts";

/** A place for blobs, as its port is tested. */
export interface BlobPortPlace {
  /** Opens an empty place whose listings have pages of 7 names. */
  readonly open: () => Promise<BlobPort>;
  /** Longer blobs than these are sent in several requests, or piece by piece. */
  readonly largeBytes: number;
}

/** Declares the tests of what the engine of blobs rests on. */
export function testBlobPort(place: BlobPortPlace): void {
  testReading(place);
  testCreating(place);
  testReplacing(place);
  testListing(place);
}

function testReading(place: BlobPortPlace): void {
  test("gives back what was written: nothing, a byte, several parts, and more than one request takes", async () => {
    const blobs = await place.open();
    const large = place.largeBytes + 12_345;
    for (const sizes of [[], [0], [1], [3, 0, 5], [large], [1, large, 1], [5, large, large, 7]]) {
      const parts = sizes.map((size, index) => Buffer.alloc(size, index + 1));
      const key = `sizes/${sizes.join("-")}.x`;
      expect(await blobs.createIfAbsent(key, parts)).toBe(true);
      expect(Buffer.compare((await blobs.read(key)) ?? Buffer.from("nothing"), Buffer.concat(parts))).toBe(0);
    }
    expect(await blobs.read("sizes/none")).toBe(null);
    expect(await blobs.read("sizes")).toBe(null);
  }, 120_000);
}

function testCreating(place: BlobPortPlace): void {
  test("creates a blob once, whoever tries, small and large", async () => {
    const blobs = await place.open();
    for (const size of [10, place.largeBytes + 1]) {
      const writers = Array.from({ length: 6 }, (_, index) => Buffer.alloc(size, index + 1));
      const won = await Promise.all(writers.map(async (bytes) => await blobs.createIfAbsent(`once/${size}`, [bytes])));
      expect(won.filter(Boolean).length).toBe(1);
      const winner = writers[won.indexOf(true)] ?? Buffer.alloc(0);
      expect(Buffer.compare((await blobs.read(`once/${size}`)) ?? Buffer.alloc(0), winner)).toBe(0);
      expect(await blobs.createIfAbsent(`once/${size}`, [Buffer.alloc(size, 99)])).toBe(false);
      expect((await blobs.read(`once/${size}`))?.[0]).toBe(winner[0]);
    }
  }, 120_000);

  test("knows its own: the same bytes created again count as created", async () => {
    const blobs = await place.open();
    const parts = [Buffer.from("of this "), Buffer.from("writer alone")];
    expect(await blobs.createIfAbsent("own", parts)).toBe(true);
    expect(await blobs.createIfAbsent("own", [Buffer.concat(parts)])).toBe(true);
    expect(await blobs.createIfAbsent("own", [Buffer.from("of this writer")])).toBe(false);
    expect(await blobs.createIfAbsent("own", [...parts, Buffer.from("!")])).toBe(false);
  });
}

function testReplacing(place: BlobPortPlace): void {
  test("replaces, removes, and creates again what was removed", async () => {
    const blobs = await place.open();
    for (const size of [20, place.largeBytes + 1]) {
      await blobs.replace("changing", [Buffer.alloc(size, 1)]);
      await blobs.replaceAndWipe("changing", [Buffer.alloc(size, 2)]);
      expect((await blobs.read("changing"))?.[0]).toBe(2);
      expect(await blobs.hasLeftovers("changing")).toBe(false);
      await blobs.remove("changing");
      await blobs.remove("changing");
      expect(await blobs.read("changing")).toBe(null);
      expect(await blobs.createIfAbsent("changing", [Buffer.alloc(size, 3)])).toBe(true);
      await blobs.remove("changing");
    }
  }, 120_000);

  test("many who replace at once leave one of their blobs, whole", async () => {
    const blobs = await place.open();
    for (const size of [20, place.largeBytes + 1]) {
      const writers = Array.from({ length: 4 }, (_, index) => Buffer.alloc(size, index + 1));
      await Promise.all(writers.map(async (bytes) => await blobs.replace("contested", [bytes])));
      const left = await blobs.read("contested");
      expect(writers.some((bytes) => left !== null && Buffer.compare(bytes, left) === 0)).toBe(true);
    }
  }, 120_000);
}

function testListing(place: BlobPortPlace): void {
  test("lists what lies right under a folder, each name once, over many pages", async () => {
    const blobs = await place.open();
    const expected: string[] = [];
    const writes: Promise<unknown>[] = [];
    for (let number = 0; number < 30; number++) {
      const name = String(number).padStart(12, "0");
      expected.push(`${name}.json`, `${name}-folder`);
      writes.push(blobs.replace(`listed/${name}.json`, [Buffer.from("x")]));
      for (const child of ["a", "b", "c/d"])
        writes.push(blobs.replace(`listed/${name}-folder/${child}`, [Buffer.from("x")]));
    }
    writes.push(blobs.replace("listed-not", []), blobs.replace("lister/x", []));
    await Promise.all(writes);
    expect((await Array.fromAsync(blobs.list("listed"))).toSorted()).toEqual(expected.toSorted());
    expect((await Array.fromAsync(blobs.list("listed/000000000003-folder"))).toSorted()).toEqual(["a", "b", "c"]);
    expect(await Array.fromAsync(blobs.list("nothing"))).toEqual([]);
    const after = "000000000017.json";
    const behind = new Set(await Array.fromAsync(blobs.list("listed", after)));
    expect(expected.filter((name) => name > after && !behind.has(name))).toEqual([]);
  }, 120_000);
}
