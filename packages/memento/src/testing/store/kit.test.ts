import { describe, expect, test } from "vitest";

import { MemoryStore } from "../../store/memory/store.ts";
import type { MementoQuery } from "../../store/query.ts";
import { mementoQuery } from "../../store/query.ts";
import type { AppendBatch, CaretakerRecord, MementoStore, PackReplacement } from "../../store/store.ts";
import type { StoreKitOptions } from "./kit.ts";
import { testStore } from "./store-kit.ts";

type Methods = Partial<Omit<MementoStore, "url" | "supports">>;

/** The memory store with some of its methods replaced. */
function broken(store: MementoStore, methods: Methods): MementoStore {
  return new Proxy(store, {
    get: (target, name) => {
      const value: unknown = Reflect.get(methods, name) ?? Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

interface Outcome {
  readonly passed: string[];
  readonly failed: string[];
}

/** Runs the whole kit on a store, one test after the other. */
async function runKit(
  breakStore: (store: MementoStore) => Methods,
  options: Partial<StoreKitOptions> = {},
): Promise<Outcome> {
  const { supports } = await MemoryStore.open();
  const tests: { readonly name: string; readonly run: () => Promise<void> }[] = [];
  let group = "";
  testStore({
    test: (name, run) => tests.push({ name: `${group} > ${name}`, run }),
    describe: (name, declare) => {
      group = name;
      declare();
      group = "";
    },
    supports,
    place: async () => ({
      open: async () => {
        const store = await MemoryStore.open();
        return broken(store, breakStore(store));
      },
      address: "",
      dispose: async () => undefined,
    }),
    ...options,
  });
  const outcome: Outcome = { passed: [], failed: [] };
  for (const { name, run } of tests) {
    const list = await run().then(
      () => outcome.passed,
      () => outcome.failed,
    );
    list.push(name);
  }
  return outcome;
}

async function* mapped<T>(items: AsyncIterable<T>, change: (item: T) => T | null): AsyncIterable<T> {
  for await (const item of items) {
    const changed = change(item);
    if (changed !== null) yield changed;
  }
}

/** What may be wrong with a store, and a group of the kit that must notice. */
const FAULTS: readonly (readonly [string, string, (store: MementoStore) => Methods])[] = [
  ["takes a stale head", "append()", (store) => ({ append: async (batch) => await forced(store, batch) })],
  [
    "says appended, and stores nothing",
    "append()",
    () => ({ append: async ({ records }) => records.map(() => ({ outcome: "appended" })) }),
  ],
  [
    "takes plaintext into a sealed store",
    "append()",
    (store) => ({ create: async (meta, key) => await store.create({ ...meta, sealed: false }, key) }),
  ],
  ["gives no body", "append()", (store) => ({ read: async (id) => withoutBody(await store.read(id)) })],
  ["finds no name", "findByName()", () => ({ findByName: async () => null })],
  [
    "ignores the filter",
    "query()",
    (store) => ({ query: ({ sort, order, removed }) => store.query(mementoQuery({ sort, order, removed })) }),
  ],
  [
    "ignores the sort",
    "query() order",
    (store) => ({ query: (query: MementoQuery) => store.query({ ...query, sort: "log" }) }),
  ],
  [
    "ignores the limit",
    "query() order",
    (store) => ({ query: (query: MementoQuery) => store.query({ ...query, limit: null }) }),
  ],
  [
    "ignores the cursor",
    "query() order",
    (store) => ({ query: (query: MementoQuery) => store.query({ ...query, after: null }) }),
  ],
  [
    "shows what was removed",
    "remove()",
    (store) => ({ query: (query: MementoQuery) => store.query({ ...query, removed: true }) }),
  ],
  ["removes nothing", "remove()", () => ({ remove: async (ids) => ids })],
  [
    "reclaims nothing, and says so much",
    "reclaim()",
    () => ({ reclaim: async (ids) => ({ packs: ids.length, bytes: 1 }) }),
  ],
  ["loses notices", "commits()", () => ({ note: async () => undefined })],
  ["starts the log anew for each reader", "commits()", (store) => ({ commits: () => store.commits(null) })],
  [
    "hides which slots were refused",
    "commits()",
    (store) => ({ commits: (after) => mapped(store.commits(after), (commit) => ({ ...commit, accepted: [] })) }),
  ],
  ["grants every lease", "acquireLease()", () => ({ acquireLease: async () => true })],
  [
    "renews for anybody",
    "renewLease()",
    (store) => ({ renewLease: async ({ timeline }) => await store.timeline(timeline) }),
  ],
  ["lets anybody release", "releaseLease()", () => ({ releaseLease: async () => true })],
  [
    "saves any version of a caretaker",
    "saveCaretaker()",
    (store) => ({ saveCaretaker: async (record, notice) => await anyVersion(store, record, notice) }),
  ],
  ["removes a caretaker that is in use", "removeCaretaker()", () => ({ removeCaretaker: async () => true })],
  [
    "makes a second timeline for an address",
    "createTimeline()",
    (store) => ({
      createTimeline: async (record, lease) => await store.createTimeline({ ...record, fork: record.key }, lease),
    }),
  ],
  [
    "forgets timelines",
    "timelines()",
    (store) => ({
      timelines: (caretaker) => mapped(store.timelines(caretaker), (state) => (state.head === null ? state : null)),
    }),
  ],
  ["stays open", "close()", () => ({ close: async () => undefined })],
  ["is made anew by each caller", "create()", () => ({ create: async (meta) => meta })],
  ["rewraps for anybody", "rewrapKey()", () => ({ rewrapKey: async () => true })],
  [
    "replaces whatever is there",
    "replacePack()",
    (store) => ({ replacePack: async (pack) => await blindly(store, pack) }),
  ],
  ["replaces nothing, and says so", "replacePack()", () => ({ replacePack: async () => true })],
  ["retires no key", "retireKey()", () => ({ retireKey: async () => true })],
  ["keeps dropped keys", "dropKey()", () => ({ dropKey: async () => true })],
  [
    "mends what is whole",
    "rebuildIndex()",
    () => ({
      rebuildIndex: async () => ({ changes: [{ problem: "wolf", mementos: [], timeline: null }], problems: [] }),
    }),
  ],
  ["salvages nothing", "salvage()", () => ({ salvage: async () => null })],
  ["cries wolf", "check()", () => ({ check: () => wolf() })],
];

async function* wolf(): AsyncIterable<{ problem: string; mementos: string[]; timeline: null }> {
  yield { problem: "wolf", mementos: [], timeline: null };
}

async function forced(store: MementoStore, batch: AppendBatch): ReturnType<MementoStore["append"]> {
  await store.append(batch);
  return batch.records.map(() => ({ outcome: "appended" }));
}

async function blindly(store: MementoStore, pack: PackReplacement): Promise<boolean> {
  return await store.replacePack({ ...pack, expectedHeaderDigest: null });
}

const withoutBody = (stored: Awaited<ReturnType<MementoStore["read"]>>) => stored && { ...stored, body: null };

async function anyVersion(store: MementoStore, record: CaretakerRecord, notice: Uint8Array): Promise<boolean> {
  const version = ((await store.caretaker(record.name))?.version ?? 0) + 1;
  return await store.saveCaretaker({ ...record, version }, notice);
}

describe("testStore()", () => {
  test("passes a sound store", async () => {
    const { failed, passed } = await runKit(() => ({}));
    expect(failed).toEqual([]);
    expect(passed.length).toBeGreaterThan(100);
  });

  test.each(FAULTS)("fails a store that %s, in %s", async (_, group, methods) => {
    const { failed } = await runKit(methods);
    expect(failed.some((name) => name.startsWith(`${group} > `))).toBe(true);
  });

  test("does not run a known gap, and fails for one that names no test", async () => {
    const name = "reclaim() > keeps the log's header and order";
    const knownGaps = { [name]: "no body is ever dropped", "reclaim() > nothing": "gone" };
    const { passed, failed } = await runKit(() => ({ reclaim: async () => ({ packs: 0, bytes: 0 }) }), { knownGaps });
    expect([...passed, ...failed]).not.toContain(name);
    expect(passed.some((each) => each.startsWith(`${name} (not run, a known gap: no body`))).toBe(true);
    expect(failed.some((each) => each.endsWith("every known gap names a test"))).toBe(true);
  });

  test("fails where processes share the store and no worker module is given", async () => {
    const { supports } = await MemoryStore.open();
    const { failed } = await runKit(() => ({}), { supports: { ...supports, sharedBy: "machine", durable: true } });
    expect(failed.some((each) => each.startsWith("processes at once > "))).toBe(true);
    expect(failed.some((each) => each.startsWith("kill -9 > "))).toBe(true);
  });
});
