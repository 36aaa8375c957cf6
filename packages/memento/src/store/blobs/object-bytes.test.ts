import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { bytesIn, piecesOf, readAll } from "./object-bytes.ts";

describe("piecesOf()", () => {
  test("cuts parts of any sizes into pieces of one size, and loses no byte", () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 8 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 40 }), (partSizes, size) => {
        const parts = partSizes.map((length, index) => Buffer.alloc(length, index + 1));
        const pieces = [...piecesOf(parts, size)];
        expect(Buffer.concat(pieces).equals(Buffer.concat(parts))).toBe(true);
        for (const piece of pieces.slice(0, -1)) expect(piece.byteLength).toBe(size);
        expect((pieces.at(-1)?.byteLength ?? size) <= size).toBe(true);
        expect(pieces.length).toBe(Math.ceil(bytesIn(parts) / size));
      }),
    );
  });
});

describe("readAll()", () => {
  async function* stream(...chunks: string[]): AsyncGenerator<Uint8Array | string> {
    for (const chunk of chunks) yield chunk.length % 2 === 0 ? chunk : Buffer.from(chunk);
  }

  test("gives the bytes, and a sign of life with each chunk", async () => {
    let signs = 0;
    const alive = (): void => void (signs += 1);
    expect(Buffer.from(await readAll(stream("ab", "cde", "f"), 6, alive)).toString()).toBe("abcdef");
    expect(Buffer.from(await readAll(stream("ab", "cde"), null, alive)).toString()).toBe("abcde");
    expect(signs).toBe(5);
  });

  test.each([[7], [5]])("takes no answer of 6 bytes for one of %i", async (length) => {
    await expect(readAll(stream("ab", "cde", "f"), length, () => {})).rejects.toMatchObject({ code: "ECONNRESET" });
  });
});
