import assert from "node:assert/strict";

import type { MementoSizes } from "../../core/memento.ts";
import { mementoQuery, type MementoQuery } from "../../store/query.ts";
import type { MementoStore } from "../../store/store.ts";
import type { StoreFixture } from "./fixture.ts";
import { collect, type StoreLoan, type StoreTestGroup } from "./kit.ts";

/** Every filter, and which of the mementos below it must give (by their labels `n`). */
const FILTERS: readonly {
  readonly name: string;
  readonly query: Partial<MementoQuery>;
  readonly gives: readonly string[];
}[] = [
  { name: "caretaker", query: { caretaker: "lab" }, gives: ["3", "4"] },
  { name: "originator", query: { originator: "cars" }, gives: ["3"] },
  { name: "caretaker and originator", query: { caretaker: "etl", originator: "flights" }, gives: ["0", "1", "2"] },
  { name: "kind", query: { kind: "table" }, gives: ["3", "4"] },
  { name: "status", query: { status: "failed" }, gives: ["1", "4"] },
  { name: "reason", query: { reason: "stage" }, gives: ["0", "2"] },
  { name: "run", query: { run: "r-two" }, gives: ["1", "2"] },
  { name: "stage", query: { stage: "load" }, gives: ["2"] },
  { name: "name", query: { name: "gold" }, gives: ["1"] },
  { name: "one label", query: { labels: { team: "a" } }, gives: ["0", "3"] },
  { name: "two labels", query: { labels: { team: "a", env: "prod" } }, gives: ["3"] },
  { name: "a metadata path", query: { metadata: { "rows.bad": 7 } }, gives: ["2"] },
  { name: "a metadata value of null", query: { metadata: { owner: null } }, gives: ["4"] },
  { name: "a metadata value that is an object", query: { metadata: { window: { from: 1, to: 2 } } }, gives: ["0"] },
  {
    name: "a metadata object, whatever the order of its keys",
    query: { metadata: { window: { to: 2, from: 1 } } },
    gives: ["0"],
  },
  { name: "a metadata path that every object has", query: { metadata: { constructor: null } }, gives: [] },
  { name: "two metadata paths", query: { metadata: { owner: null, "rows.bad": "7" } }, gives: ["4"] },
  { name: "a label and a metadata path", query: { labels: { n: "2" }, metadata: { "rows.bad": 7 } }, gives: ["2"] },
  { name: "a label that every object has", query: { labels: { toString: "x" } }, gives: [] },
  { name: "created from, inclusive", query: { createdFrom: "2026-01-03T00:00:00.000Z" }, gives: ["2", "3", "4"] },
  { name: "created before, exclusive", query: { createdBefore: "2026-01-03T00:00:00.000Z" }, gives: ["0", "1"] },
  {
    name: "a range of sizes, inclusive",
    query: { logicalBytesMin: 200, logicalBytesMax: 400 },
    gives: ["1", "2", "3"],
  },
  { name: "several at once", query: { status: "failed", caretaker: "etl", logicalBytesMax: 250 }, gives: ["1"] },
  { name: "nothing at all", query: { run: "r-none" }, gives: [] },
];

const sizes = (logicalBytes: number): MementoSizes => ({ logicalBytes, heldBytes: 1 });

async function saveSamples(store: MementoStore, make: StoreFixture): Promise<{ readonly flights: string }> {
  const flights = await make.timeline(store, { originator: "flights" });
  const cars = await make.timeline(store, { caretaker: "lab", originator: "cars", kind: "table" });
  const boats = await make.timeline(store, { caretaker: "lab", originator: "boats", kind: "table" });
  const at = (day: number): string => `2026-01-0${day}T00:00:00.000Z`;
  await flights.save(store, {
    labels: { n: "0", team: "a" },
    reason: "stage",
    run: "r-one",
    stage: "extract",
    created: at(1),
    sizes: sizes(100),
    metadata: { window: { from: 1, to: 2 } },
  });
  await flights.save(store, {
    labels: { n: "1", team: "b" },
    status: "failed",
    run: "r-two",
    name: "gold",
    created: at(2),
    sizes: sizes(200),
  });
  await flights.save(store, {
    labels: { n: "2" },
    reason: "stage",
    run: "r-two",
    stage: "load",
    created: at(3),
    sizes: sizes(300),
    metadata: { "rows.bad": 7 },
  });
  await cars.save(store, { labels: { n: "3", team: "a", env: "prod" }, created: at(4), sizes: sizes(400) });
  await boats.save(store, {
    labels: { n: "4" },
    status: "failed",
    created: at(5),
    sizes: sizes(500),
    metadata: { owner: null, "rows.bad": "7" },
  });
  return { flights: flights.key };
}

const numbers = async (store: MementoStore, query: Partial<MementoQuery>): Promise<(string | undefined)[]> =>
  (await collect(store.query(mementoQuery({ order: "ascending", ...query })))).map(({ entry }) => entry.labels["n"]);

/** `query`: its filters, and what a row holds. */
export const queryTests: readonly StoreTestGroup[] = [
  {
    method: "query()",
    tests: {
      ...Object.fromEntries(
        FILTERS.map(({ name, query, gives }) => [
          `filters by ${name}`,
          async ({ store, make }: StoreLoan) => {
            await saveSamples(store, make);
            assert.deepEqual(await numbers(store, query), gives);
          },
        ]),
      ),

      "filters by timeline": async ({ store, make }) => {
        const { flights } = await saveSamples(store, make);
        assert.deepEqual(await numbers(store, { timeline: flights }), ["0", "1", "2"]);
        assert.deepEqual(await numbers(store, { timeline: flights, status: "failed" }), ["1"]);
        assert.deepEqual(await numbers(store, { timeline: flights, caretaker: "lab" }), []);
        assert.deepEqual(await numbers(store, { timeline: "000000000000" }), []);
      },

      "leaves out parts of streams when asked to": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        await timeline.save(store, { labels: { n: "0" } });
        await timeline.save(store, { labels: { n: "1", "memento.part": "s" } });
        assert.deepEqual(await numbers(store, {}), ["0", "1"]);
        assert.deepEqual(await numbers(store, { parts: false }), ["0"]);
        assert.deepEqual(await numbers(store, { parts: false, sort: "label:n", limit: 5 }), ["0"]);
      },

      "gives the entry whole, and the bytes of its pack": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const members = {
          name: "n",
          run: "r",
          version: "1.2",
          stage: "s",
          stageIndex: 3,
          resumeCount: 2,
          labels: { ключ: "✈" },
          metadata: { a: [1, null, { b: "c" }] },
        };
        const records = [timeline.next(members), timeline.next()];
        const batch = make.batch(records);
        await store.append(batch);
        const rows = await collect(store.query(mementoQuery({ order: "ascending" })));
        assert.deepEqual(
          rows.map(({ entry }) => entry),
          records.map(({ entry }) => entry),
        );
        for (const row of rows) {
          assert.equal(row.packBytes, batch.header.byteLength + batch.body.byteLength);
          assert.equal(row.removed, false);
        }
        await timeline.save(store);
        const packs = (await collect(store.query(mementoQuery({ order: "ascending" })))).map(({ pack }) => pack);
        assert.equal(packs[0], packs[1]);
        assert.notEqual(packs[1], packs[2]);
      },

      "gives an empty store's nothing": async ({ store }) => {
        for (const sort of ["log", "created", "size", "name"] as const)
          assert.deepEqual(await numbers(store, { sort }), []);
      },

      "leaves a query unfinished without harm": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        for (let index = 0; index < 5; index++) await timeline.save(store);
        for await (const row of store.query(mementoQuery())) {
          assert.equal(row.entry.sequence, 5);
          break;
        }
        await timeline.save(store);
        assert.equal((await collect(store.query(mementoQuery()))).length, 6);
      },
    },
  },
];
