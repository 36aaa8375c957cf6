import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { extent } from "../../../../test/harness/extent.ts";
import { sha256 } from "../core/digest.ts";
import { MemoryStore } from "../store/memory/index.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import type { Compression } from "./compression.ts";
import { RunWriter } from "./delta/delta-runs.ts";
import { applyDeltas, encodeDelta } from "./delta/index.ts";
import { DELTA_CONTENT_BYTES_MIN, holdNext, wholePiece, writable, type PieceChain } from "./increments.ts";
import { rawKeyRing } from "./keys/key-ring.ts";
import { Vault } from "./vault.ts";

const CASES = extent({ plain: 2_500, all: 10_000, variable: "MEMENTO_CASES" });

/** One change of a list of rows. */
type Edit = readonly [
  kind: "change" | "append" | "dropHead" | "insert" | "swap" | "replaceAll",
  at: number,
  count: number,
];

const edit: fc.Arbitrary<Edit> = fc.tuple(
  fc.constantFrom("change", "append", "dropHead", "insert", "swap", "replaceAll"),
  fc.nat(10_000),
  fc.integer({ min: 1, max: 12 }),
);

/** A list of rows that is edited as data usually is; every new row is unlike all others. */
class Rows {
  rows: object[] = [];
  #made = 0;
  readonly #frozen: boolean;

  constructor(count: number, frozen = false) {
    this.#frozen = frozen;
    this.rows = this.#fresh(count);
  }

  apply([kind, place, count]: Edit): void {
    const at = place % (this.rows.length + 1);
    if (kind === "change") this.rows = this.rows.map((row, n) => (n >= at && n < at + count ? this.#row() : row));
    else if (kind === "append") this.rows = [...this.rows, ...this.#fresh(count)];
    else if (kind === "dropHead") this.rows = this.rows.slice(count);
    else if (kind === "insert") this.rows = this.rows.toSpliced(at, 0, ...this.#fresh(count));
    else if (kind === "swap") this.rows = [...this.rows.slice(at), ...this.rows.slice(0, at)];
    else if (place % 10 === 0) this.rows = this.#fresh(this.rows.length);
  }

  #fresh(count: number): object[] {
    return Array.from({ length: count }, () => this.#row());
  }

  #row(): object {
    const n = (this.#made += 1);
    const row = { n, key: sha256(`row ${n}`), open: n % 3 === 0, place: ["Żółć", "Ørsted", "日本"][n % 3] };
    return this.#frozen ? Object.freeze(row) : row;
  }
}

const encoded = (rows: Rows): Buffer => Buffer.from(JSON.stringify(rows.rows));

/** A delta that says a text of this length again and again. */
function copies(length: number, times: number): Uint8Array {
  const writer = new RunWriter();
  for (let copy = 0; copy < times; copy++) writer.copy(0, length);
  return writer.encodeWith(length, new Uint8Array());
}

describe("holdNext()", () => {
  test("any sequence of edits: every version comes back from its whole piece and its links, on a short way (P11)", () => {
    fc.assert(
      fc.property(fc.integer({ min: 40, max: 200 }), fc.array(edit, { maxLength: 30 }), (count, edits) => {
        const rows = new Rows(count);
        const wholes = new Map([["m0", encoded(rows)]]);
        let chain: PieceChain = wholePiece("m0", "", { encoding: "json", bytes: encoded(rows) });
        for (const [step, next] of edits.entries()) {
          rows.apply(next);
          const content = { encoding: "json", bytes: encoded(rows) } as const;
          const held = holdNext(chain, `m${step + 1}`, "", content, encodeDelta(chain.content, content.bytes));
          chain = held.chain;
          if (held.base === null) wholes.set(`m${step + 1}`, content.bytes);
          const { links, keyframe } = chain;
          expect(held.base?.holder ?? null).toBe(held.base === null ? null : (links.at(-2)?.holder ?? keyframe));
          const deltas = links.map(({ delta }) => delta);
          const whole = wholes.get(keyframe) ?? Buffer.alloc(0);
          expect(Buffer.compare(applyDeltas(whole, deltas, content.bytes.length), content.bytes)).toBe(0);
          expect(links.length).toBeLessThanOrEqual(Math.max(1, content.bytes.length / 170_000));
          expect(deltas.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(Math.max(content.bytes.length, 1));
        }
      }),
      { numRuns: CASES },
    );
  });

  test("a piece whose way may have one link is whole again once its content was written anew, and not much later", () => {
    const rows = new Rows(1_200);
    let chain: PieceChain = wholePiece("m0", "", { encoding: "json", bytes: encoded(rows) });
    const wholeAt: number[] = [];
    let written = 0;
    for (let step = 1; wholeAt.length < 3; step++) {
      rows.apply(["change", step * 7_919, 12]);
      const content = { encoding: "json", bytes: encoded(rows) } as const;
      const held = holdNext(chain, `m${step}`, "", content, encodeDelta(chain.content, content.bytes));
      chain = held.chain;
      if (held.base !== null) {
        written += held.bytes.length;
        continue;
      }
      expect(written).toBeGreaterThan(content.bytes.length * 0.7);
      expect(written).toBeLessThan(content.bytes.length);
      wholeAt.push(step);
      written = 0;
    }
  });

  test.each([1_200, 12_000])("a writer that begins anew for each step is whole about as often (%i rows)", (count) => {
    const steps = (isReadAgain: boolean): number => {
      const rows = new Rows(count);
      let chain: PieceChain = wholePiece("m0", "", { encoding: "json", bytes: encoded(rows) });
      for (let step = 1; ; step++) {
        rows.apply(["change", step * 7_919, Math.round(count / 100)]);
        const content = { encoding: "json", bytes: encoded(rows) } as const;
        const held = holdNext(chain, `m${step}`, "", content, encodeDelta(chain.content, content.bytes));
        if (held.base === null) return step;
        const spentBytes = held.chain.links.reduce((sum, { delta }) => sum + delta.length, 0);
        chain = isReadAgain ? writable({ ...held.chain, spentBytes }) : held.chain;
      }
    };
    const [once, again] = [steps(false), steps(true)];
    expect(again).toBeGreaterThan(once * 0.7);
    expect(again).toBeLessThan(once * 1.3);
  });

  test("a piece is whole where its deltas would fold to one of millions of runs", () => {
    const content = { encoding: "bytes", bytes: Buffer.alloc(18_000_000, "ab") } as const;
    // Folded are the links behind the last multiple of the radix, which for this size is 13.
    const links = Array.from({ length: 12 }, (_, index) => ({
      holder: `m${index + 1}`,
      step: index + 1,
      delta: copies(2, 3_000),
    }));
    const chain: PieceChain = { ...wholePiece("m0", "", content), links };
    expect(holdNext(chain, "m13", "", content, copies(6_000, 3_000))).toMatchObject({ base: null });
  });

  test("small changes of a large piece: a delta is written about once a digit, and the way back grows like their sum", () => {
    const rows = new Rows(12_000);
    let chain: PieceChain = wholePiece("m0", "", { encoding: "json", bytes: encoded(rows) });
    let [written, plain, longest] = [0, 0, 0];
    for (let step = 1; step <= 150; step++) {
      rows.apply(["change", step * 7_919, 5]);
      const content = { encoding: "json", bytes: encoded(rows) } as const;
      const delta = encodeDelta(chain.content, content.bytes);
      plain += delta?.length ?? 0;
      const held = holdNext(chain, `m${step}`, "", content, delta);
      expect(held.base).not.toBeNull();
      written += held.bytes.length;
      chain = held.chain;
      longest = Math.max(longest, chain.links.length);
    }
    expect(written / plain).toBeLessThan(6);
    expect(longest).toBeGreaterThan(3);
    expect(longest).toBeLessThanOrEqual(encoded(rows).length / 170_000);
  });
});

const keys = [rawKeyRing([new Uint8Array(32).fill(1)]), rawKeyRing([new Uint8Array(32).fill(1)])] as const;
const compression: fc.Arbitrary<Compression> = fc.constantFrom(
  { codec: "zstd" },
  { codec: "zstd", level: 9 },
  { codec: "gzip" },
  { codec: "brotli" },
  { codec: "none" },
);

describe("append() of changed pieces", () => {
  test("any edits, in any mix of codecs, data keys, full saves and removals: every kept memento is exact (P8, P11)", async () => {
    const step = fc.record({
      edits: fc.array(edit, { maxLength: 3 }),
      other: fc.constantFrom<unknown>("same", 1n, new Date(0), [undefined, Number.NaN]),
      compression: fc.option(compression, { nil: null }),
      reopen: fc.nat(5).map((n) => n === 0),
      full: fc.nat(9).map((n) => n === 0),
      remove: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 16 }),
        fc.nat(),
        fc.boolean(),
        async (steps, seed, frozen) => {
          const store = await MemoryStore.open();
          const random = new SeededRandom(seed);
          const open = async (n: number): Promise<Vault> =>
            await Vault.open(store, { keys: keys[n % 2] ?? keys[0], random });
          let vault = await open(0);
          const address = { caretaker: "c", originator: "o", partition: "", fork: "" };
          let writer = await vault.writer(await vault.ensureTimeline(address, "value"));
          const rows = new Rows(80, frozen);
          const kept = new Map<string, { rows: object[]; other: unknown }>();
          for (const [n, { edits, other, compression: wanted, reopen, full, remove }] of steps.entries()) {
            for (const next of edits) rows.apply(next);
            if (reopen) {
              vault = await open(n);
              writer = await vault.writer(await vault.timeline(writer.timeline.key));
            }
            if (wanted !== null) vault.compress("c", wanted);
            const pieces = new Map<string, unknown>([
              ["rows", rows.rows],
              ["other", other],
              ["opaque", new Uint8Array(encoded(rows))],
            ]);
            const { entry } = await writer.append({
              reason: "save",
              status: "saved",
              generation: 0,
              pieces,
              full,
            });
            kept.set(entry.id, { rows: rows.rows, other });
            if (remove) {
              const [first = ""] = kept.keys();
              kept.delete(first);
              await store.remove(
                [first],
                vault.notice("removed", { caretaker: "c", timeline: null, mementos: [first] }),
              );
            }
          }
          for (const [id, value] of kept) {
            const memento = await vault.load(id);
            expect(await memento.value("rows")).toEqual(value.rows);
            expect(await memento.value("other")).toEqual(value.other);
            expect(Buffer.from((await memento.value("opaque")) as Uint8Array).toString()).toBe(
              JSON.stringify(value.rows),
            );
          }
          await store.close();
        },
      ),
      { numRuns: CASES / 4 },
    );
  }, 600_000);

  test("what did not change is not written, and what did is a delta", async () => {
    const store = await MemoryStore.open();
    await using vault = await Vault.open(store, { keys: keys[0] });
    const address = { caretaker: "c", originator: "o", partition: "", fork: "" };
    const writer = await vault.writer(await vault.ensureTimeline(address, "value"));
    const rows = new Rows(500);
    const save = async (): Promise<number> =>
      (
        await writer.append({
          reason: "save",
          status: "saved",
          generation: 0,
          pieces: new Map([["rows", rows.rows]]),
        })
      ).entry.sizes.heldBytes;
    expect(await save()).toBeGreaterThan(DELTA_CONTENT_BYTES_MIN);
    expect(await save()).toBe(0);
    rows.apply(["change", 250, 2]);
    expect(await save()).toBeLessThan(400);
  });

  test("a value that is changed while it is saved is saved as it was", async () => {
    const store = await MemoryStore.open();
    await using vault = await Vault.open(store, { keys: keys[0] });
    const address = { caretaker: "c", originator: "o", partition: "", fork: "" };
    const writer = await vault.writer(await vault.ensureTimeline(address, "value"));
    const state = { rows: new Rows(20_000).rows, bytes: new Uint8Array(2_000_000) };
    const before = structuredClone(state);
    const save = writer.append({
      reason: "save",
      status: "saved",
      generation: 0,
      pieces: new Map(Object.entries(state)),
    });
    state.rows.length = 3;
    state.bytes.fill(7);
    const loaded = await vault.load((await save).entry.id);
    expect(await loaded.value("rows")).toEqual(before.rows);
    expect(await loaded.value("bytes")).toEqual(before.bytes);
  });
});
