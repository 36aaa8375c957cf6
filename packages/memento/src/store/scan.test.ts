import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { StoreFixture, TestTimeline } from "../testing/store/fixture.ts";
import { mementoQuery, type MementoQuery } from "./query.ts";
import { scanLog, type LogPosition, type LogRow, type LogRows } from "./scan.ts";
import type { IndexRow } from "./store.ts";

/** A log in an array, that counts how many rows it was asked for. */
class ArrayLog implements LogRows {
  readonly log: LogRow[];
  asked = 0;
  /** Called before each row that is given in a scan; may change the log. */
  onRow: (row: LogRow) => void = () => undefined;

  constructor(rows: readonly { readonly key: number; readonly removed: boolean }[]) {
    const make = new StoreFixture(1);
    const line = new TestTimeline(make, make.timelineRecord());
    this.log = rows.map(({ key, removed }, index) => {
      const name = key === 0 ? {} : { name: `name-${key}` };
      const { entry } = line.next({
        ...name,
        created: `2026-01-01T00:00:0${key}.000Z`,
        sizes: { logicalBytes: key, heldBytes: 0 },
      });
      return { commit: Math.floor(index / 3), slot: index % 3, entry, packBytes: 1, removed };
    });
  }

  *rows({ order }: MementoQuery, after: LogPosition | null): Iterable<LogRow> {
    const rows = order === "ascending" ? this.log : this.log.toReversed();
    for (const row of rows) {
      const distance = after === null ? 1 : row.commit - after.commit || row.slot - after.slot;
      if (after !== null && (order === "ascending" ? distance <= 0 : distance >= 0)) continue;
      this.asked += 1;
      this.onRow(row);
      yield row;
    }
  }

  at({ commit, slot }: LogPosition): LogRow | null {
    return this.log.find((row) => row.commit === commit && row.slot === slot) ?? null;
  }

  remove(id: string): void {
    const index = this.log.findIndex(({ entry }) => entry.id === id);
    const row = this.log[index];
    if (row !== undefined) this.log[index] = { ...row, removed: true };
  }
}

const scan = async (log: LogRows, query: Partial<MementoQuery>): Promise<IndexRow[]> =>
  await Array.fromAsync(scanLog(log, mementoQuery(query)));

const idsOf = (rows: readonly { readonly entry: { readonly id: string } }[]): string[] =>
  rows.map(({ entry }) => entry.id);

const rows = fc.array(fc.record({ key: fc.nat(5), removed: fc.boolean() }), { maxLength: 40 });
const query = fc.record({
  sort: fc.constantFrom("log", "created", "size", "name"),
  order: fc.constantFrom("ascending", "descending"),
  removed: fc.boolean(),
});

describe("scanLog()", () => {
  test("pages of any size give together what one query gives, in the order of the sort", async () => {
    await fc.assert(
      fc.asyncProperty(rows, query, fc.integer({ min: 1, max: 9 }), async (content, wanted, limit) => {
        const log = new ArrayLog(content);
        const whole = await scan(log, wanted);
        const key = ({ entry }: IndexRow): number => (wanted.sort === "log" ? 0 : entry.sizes.logicalBytes);
        const live = log.log.filter(({ removed }) => wanted.removed || !removed);
        expect(new Set(idsOf(whole))).toEqual(new Set(idsOf(live)));
        const up = wanted.order === "ascending" ? whole : whole.toReversed();
        for (const [index, row] of up.entries()) {
          const before = up[index - 1];
          if (before === undefined) continue;
          expect(
            key(before) < key(row) || (key(before) === key(row) && before.entry.sequence < row.entry.sequence),
          ).toBe(true);
        }
        const paged: IndexRow[] = [];
        for (let after: string | null = null, page: IndexRow[] = []; ; after = page.at(-1)?.cursor ?? null) {
          page = await scan(log, { ...wanted, limit, after });
          paged.push(...page);
          if (page.length < limit) break;
        }
        expect(idsOf(paged)).toEqual(idsOf(whole));
      }),
      { numRuns: 200 },
    );
  });

  test("asks for no more of the log than it gives, in the order of the log", async () => {
    const log = new ArrayLog(Array.from({ length: 500 }, () => ({ key: 1, removed: false })));
    expect((await scan(log, { limit: 3 })).length).toBe(3);
    expect(log.asked).toBe(3);
  });

  test("gives as many as were asked for, though some are removed while their keys are sorted", async () => {
    const content = Array.from({ length: 3_000 }, (_, index) => ({ key: (index * 7) % 9, removed: false }));
    const log = new ArrayLog(content);
    const first = idsOf(await scan(log, { sort: "size", order: "ascending", limit: 5 }));
    let removing = true;
    log.onRow = ({ commit }) => {
      if (commit < 990 || !removing) return;
      removing = false;
      for (const id of first.slice(1, 4)) log.remove(id);
    };
    const second = idsOf(await scan(log, { sort: "size", order: "ascending", limit: 5 }));
    expect(second.length).toBe(5);
    expect(second).not.toContain(first[1]);
    expect([second[0], second[1]]).toEqual([first[0], first[4]]);
  });

  test("refuses the cursor of another sort", async () => {
    const log = new ArrayLog([{ key: 1, removed: false }]);
    const cursors = new Map<string, string>();
    for (const sort of ["log", "created", "size"] as const)
      cursors.set(sort, (await scan(log, { sort }))[0]?.cursor ?? "");
    const refused = { code: "INVALID_ARGUMENT" };
    await expect(scan(log, { sort: "log", after: cursors.get("size") ?? "" })).rejects.toMatchObject(refused);
    await expect(scan(log, { sort: "size", after: cursors.get("created") ?? "" })).rejects.toMatchObject(refused);
    await expect(scan(log, { sort: "created", after: cursors.get("log") ?? "" })).rejects.toMatchObject(refused);
  });
});
