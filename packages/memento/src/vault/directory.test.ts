import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { PieceDirectory, type DirectoryLayer, type PieceRef } from "./directory.ts";

const ref = (holder: string, digest: string): PieceRef => ({ holder, digest, bytes: digest.length, encoding: "json" });

/** Appends mementos one after another and keeps what each one's record would say. */
class Line {
  directory = PieceDirectory.empty.copy();
  readonly records = new Map<string, { layer: DirectoryLayer; base: string | null }>();
  readonly truth: ReadonlyMap<string, PieceRef>[] = [];

  append(changes: ReadonlyMap<string, PieceRef | null>): string {
    const id = `m${this.records.size + 1}`;
    const planned = this.directory.plan(id, changes);
    this.records.set(id, planned);
    this.directory = this.directory.next(planned.layer, planned.base, changes);
    this.truth.push(new Map(this.directory.entries()));
    return id;
  }

  /** What a reader sees: the record, its base, the base's base... */
  read(id: string): { pieces: ReadonlyMap<string, PieceRef>; records: number } {
    const layers: DirectoryLayer[] = [];
    for (let next: string | null = id; next !== null;) {
      const record: { layer: DirectoryLayer; base: string | null } | undefined = this.records.get(next);
      if (record === undefined) throw new Error(`no record ${next}`);
      layers.unshift(record.layer);
      next = record.base;
    }
    return { pieces: new Map(PieceDirectory.fromLayers(layers).entries()), records: layers.length };
  }
}

const changesOf = fc.array(
  fc.tuple(fc.integer({ min: 0, max: 40 }), fc.option(fc.string({ minLength: 1, maxLength: 4 }), { freq: 5 })),
  { maxLength: 6 },
);

describe("PieceDirectory", () => {
  test("any sequence of changes is read back exactly, from every memento", () => {
    fc.assert(
      fc.property(fc.array(changesOf, { minLength: 1, maxLength: 70 }), (steps) => {
        const line = new Line();
        for (const step of steps) {
          const changes = new Map<string, PieceRef | null>();
          for (const [key, digest] of step) {
            if (digest !== null) changes.set(`k${key}`, ref(`m${line.records.size + 1}`, digest));
            else if (line.directory.get(`k${key}`) !== undefined) changes.set(`k${key}`, null);
          }
          line.append(changes);
        }
        for (const [index, truth] of line.truth.entries()) {
          const { pieces } = line.read(`m${index + 1}`);
          expect(Object.fromEntries(pieces)).toEqual(Object.fromEntries(truth));
        }
        const bytes = [...line.directory.entries()].reduce((sum, [, piece]) => sum + piece.bytes, 0);
        expect(line.directory.logicalBytes).toBe(bytes);
      }),
      { numRuns: Number(process.env["MEMENTO_CASES"] ?? 1_000) / 4 },
    );
  });

  test("a thousand stages cost O(log n) references a save, and O(log n) records a load", () => {
    const line = new Line();
    for (let stage = 1; stage <= 1_000; stage++) line.append(new Map([[`output/s${stage}`, ref(`m${stage}`, "d")]]));
    const written = [...line.records.values()].map(({ layer }) => layer.changes.size);
    const mean = written.reduce((sum, count) => sum + count, 0) / written.length;
    expect(mean).toBeLessThan(Math.log2(1_000));
    for (let stage = 1; stage <= 1_000; stage++)
      expect(line.read(`m${stage}`).records).toBeLessThanOrEqual(Math.ceil(Math.log2(1_000)) + 1);
    const median = (part: readonly number[]): number => part.toSorted((a, b) => a - b)[part.length >> 1] ?? 0;
    expect(median(written.slice(900))).toBeLessThanOrEqual(median(written.slice(100, 200)));
  });
});
