import assert from "node:assert/strict";

import type { JsonObject } from "../../core/json.ts";
import { mementoQuery, type MementoQuery } from "../../store/query.ts";
import type { IndexRow, MementoStore } from "../../store/store.ts";
import { expectAppended, type StoreFixture } from "./fixture.ts";
import { collect, expectCode, type StoreLoan, type StoreTestGroup } from "./kit.ts";

const SORTS = ["log", "created", "size", "name", "label:team", "metadata:rows.bad"] as const;
const ORDERS = ["ascending", "descending"] as const;

const SAVED = 24;

/** In their order by `rows.bad`. */
const METADATA: readonly JsonObject[] = [
  {},
  { "rows.bad": null },
  { "rows.bad": false },
  { "rows.bad": true },
  { "rows.bad": -12.5 },
  { "rows.bad": -1 },
  { "rows.bad": 0 },
  { "rows.bad": 9 },
  { "rows.bad": 10 },
  { "rows.bad": "" },
  { "rows.bad": "10" },
  { "rows.bad": "9" },
  { "rows.bad": [1] },
];

/** Saves 24 mementos, some alone and some in packs, whose sort keys repeat and are out of the log's order. */
async function saveMany(store: MementoStore, make: StoreFixture): Promise<string[]> {
  const timelines = [await make.timeline(store), await make.timeline(store)];
  const ids: string[] = [];
  for (let pack = 0; pack < SAVED / 2; pack++) {
    const records = timelines.map((timeline, index) => {
      const key = (pack * 7 + index * 3) % 10;
      const name = key < 5 ? {} : { name: `name-${key}-${pack}-${index}` };
      const created = `2026-01-01T00:00:0${key}.000Z`;
      const labels: Record<string, string> = key % 3 === 0 ? {} : { team: `team ${key % 3}` };
      const metadata = METADATA[(pack * 5 + index) % METADATA.length] ?? {};
      return timeline.next({ ...name, labels, metadata, created, sizes: { logicalBytes: key * 100, heldBytes: 0 } });
    });
    expectAppended(await store.append(make.batch(records)));
    ids.push(...records.map(({ entry }) => entry.id));
  }
  return ids;
}

/** The order by the contract: by key, and among equal keys by the log. */
function sorted(rows: readonly IndexRow[], { sort, order }: Pick<MementoQuery, "sort" | "order">): string[] {
  const key = ({ entry }: IndexRow): string => {
    if (sort === "created") return entry.created;
    if (sort === "size") return String(entry.sizes.logicalBytes).padStart(12, "0");
    if (sort === "label:team") return entry.labels["team"] ?? "";
    if (sort === "metadata:rows.bad") {
      const value = JSON.stringify(entry.metadata["rows.bad"]);
      return String.fromCodePoint(65 + METADATA.findIndex((each) => JSON.stringify(each["rows.bad"]) === value));
    }
    return sort === "name" ? (entry.name ?? "") : "";
  };
  // The sort is stable, and the rows come in the order of the log.
  const ids = rows.toSorted((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0)).map(({ entry }) => entry.id);
  return order === "ascending" ? ids : ids.toReversed();
}

async function readPages(store: MementoStore, query: Partial<MementoQuery>, limit: number): Promise<string[]> {
  const ids: string[] = [];
  let after: string | null = null;
  for (;;) {
    const page: IndexRow[] = await collect(store.query(mementoQuery({ ...query, limit, after })));
    ids.push(...page.map(({ entry }) => entry.id));
    after = page.at(-1)?.cursor ?? null;
    assert.ok(ids.length <= SAVED, "a cursor leads on, and never back");
    if (page.length < limit || after === null) return ids;
  }
}

type Order = Pick<MementoQuery, "sort" | "order">;

async function expectSorted({ store, make }: StoreLoan, query: Order): Promise<void> {
  await saveMany(store, make);
  const wanted = sorted(await collect(store.query(mementoQuery({ order: "ascending" }))), query);
  const whole = await collect(store.query(mementoQuery(query)));
  assert.deepEqual(idsOf(whole), wanted);
  for (const limit of [1, 5, 24, 100]) assert.deepEqual(await readPages(store, query, limit), wanted);
  const timeline = wanted[0]?.slice(0, 12) ?? "";
  const ofTimeline = wanted.filter((id) => id.startsWith(timeline));
  assert.deepEqual(await readPages(store, { ...query, timeline }, 5), ofTimeline);
}

async function expectStableCursor({ store, make }: StoreLoan, query: Order): Promise<void> {
  await saveMany(store, make);
  const wanted = idsOf(await collect(store.query(mementoQuery(query))));
  const last = (await collect(store.query(mementoQuery({ ...query, limit: 10 })))).at(-1);
  assert.ok(last);
  await store.remove([last.entry.id], make.notice("removed", { mementos: [last.entry.id] }));
  const timeline = await make.timeline(store);
  for (let index = 0; index < 5; index++) await timeline.save(store, { created: "2026-01-01T00:00:04.500Z" });
  const rest = idsOf(await collect(store.query(mementoQuery({ ...query, after: last.cursor }))));
  const old = rest.filter((id) => !id.startsWith(timeline.key));
  assert.deepEqual(old, wanted.slice(10));
}

const idsOf = (rows: readonly IndexRow[]): string[] => rows.map(({ entry }) => entry.id);
const inEveryOrder = (
  run: (loan: StoreLoan, query: Order) => Promise<void>,
  name: (query: Order) => string,
): StoreTestGroup["tests"] =>
  Object.fromEntries(
    SORTS.flatMap((sort) =>
      ORDERS.map((order) => [name({ sort, order }), async (loan: StoreLoan) => await run(loan, { sort, order })]),
    ),
  );

/** `query`: sort, order, limit and cursor. */
export const queryOrderTests: readonly StoreTestGroup[] = [
  {
    method: "query() order",
    tests: {
      "the log's order is the order of the commits and of their slots": async ({ store, make }) => {
        const ids = await saveMany(store, make);
        const rows = await collect(store.query(mementoQuery({ order: "ascending" })));
        assert.deepEqual(
          rows.map(({ entry }) => entry.id),
          ids,
        );
        const newest = await collect(store.query(mementoQuery({ limit: 3 })));
        assert.deepEqual(
          newest.map(({ entry }) => entry.id),
          ids.toReversed().slice(0, 3),
        );
      },

      ...inEveryOrder(expectSorted, ({ sort, order }) => `sorts by ${sort}, ${order}, whole and page by page`),
      ...inEveryOrder(
        expectStableCursor,
        ({ sort, order }) => `a cursor of ${sort}, ${order}, stays good while others append and remove`,
      ),

      "a limit of 0 gives nothing; one that is no number is refused": async ({ store, make }) => {
        await saveMany(store, make);
        assert.deepEqual(await collect(store.query(mementoQuery({ limit: 0 }))), []);
        for (const limit of [-1, 1.5, Number.NaN])
          await expectCode("INVALID_ARGUMENT", () => collect(store.query(mementoQuery({ limit }))));
      },

      "a text that is no cursor is refused": async ({ store, make }) => {
        await saveMany(store, make);
        for (const sort of SORTS)
          await expectCode("INVALID_ARGUMENT", () => collect(store.query(mementoQuery({ sort, after: "x'y" }))));
      },
    },
  },
];
