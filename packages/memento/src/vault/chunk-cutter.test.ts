import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { sha256 } from "../core/digest.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import { CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, ChunkCutter } from "./chunk-cutter.ts";

function noise(length: number): Uint8Array {
  const random = new SeededRandom(7);
  return Buffer.concat(Array.from({ length: Math.ceil(length / 65_536) }, () => random.bytes(65_536))).subarray(
    0,
    length,
  );
}

function cut(pieces: Iterable<Uint8Array>): Uint8Array[] {
  const cutter = new ChunkCutter();
  return [...[...pieces].flatMap((bytes) => [...cutter.push(bytes)]), ...cutter.finish()];
}

const DATA = noise(12_000_000);

describe("ChunkCutter", () => {
  test("all chunks together are the bytes, and their sizes are in bounds", () => {
    const chunks = cut([DATA]);
    expect(Buffer.compare(Buffer.concat(chunks), DATA)).toBe(0);
    for (const chunk of chunks.slice(0, -1)) expect(chunk.length).toBeGreaterThanOrEqual(CHUNK_BYTES_MIN);
    for (const chunk of chunks) expect(chunk.length).toBeLessThanOrEqual(CHUNK_BYTES_MAX);
    expect(DATA.length / chunks.length).toBeGreaterThan(200_000);
    expect(DATA.length / chunks.length).toBeLessThan(400_000);
  });

  test("the cuts of these bytes are the same for ever: other ones would share nothing with what was saved", () => {
    const sizes = cut([DATA.subarray(0, 3_000_000)]).map(({ length }) => length);
    expect(sha256(sizes.join(" "))).toBe("uVo0ky7SySbuaZ40hG0go_5ipXh3a2w37X67MRZfIOI");
  });

  test("the cuts do not depend on how the bytes come in", () => {
    const wanted = cut([DATA]).map(({ length }) => length);
    fc.assert(
      fc.property(fc.array(fc.nat(1_500_000), { maxLength: 30 }), (sizes) => {
        const pieces: Uint8Array[] = [];
        let at = 0;
        for (const size of sizes) {
          pieces.push(DATA.subarray(at, at + size));
          at += size;
        }
        expect(cut([...pieces, DATA.subarray(at)]).map(({ length }) => length)).toEqual(wanted);
      }),
      { numRuns: 10 },
    );
  });

  test("after a change the cuts fall into step again", () => {
    const chunks = new Set(cut([DATA]).map((chunk) => sha256(chunk)));
    for (const at of [0, 3_000_000, 11_900_000]) {
      const changed = cut([DATA.subarray(0, at), Buffer.from("inserted"), DATA.subarray(at)]);
      expect(changed.filter((chunk) => !chunks.has(sha256(chunk))).length).toBeLessThanOrEqual(3);
    }
  });

  test("bytes without a cut end at the most that a chunk may have; none give no chunk", () => {
    expect(cut([new Uint8Array(2_500_000)]).map(({ length }) => length)).toEqual([
      CHUNK_BYTES_MAX,
      CHUNK_BYTES_MAX,
      2_500_000 - 2 * CHUNK_BYTES_MAX,
    ]);
    expect(cut([])).toEqual([]);
    expect(cut([new Uint8Array(0)])).toEqual([]);
  });

  test("a chunk is not changed by what comes after it", () => {
    const cutter = new ChunkCutter();
    const [first] = cutter.push(DATA.subarray(0, 2_000_000));
    const copy = Uint8Array.from(first ?? []);
    for (const _ of cutter.push(DATA.subarray(2_000_000, 9_000_000)));
    expect(Buffer.compare(first ?? new Uint8Array(), copy)).toBe(0);
  });
});
