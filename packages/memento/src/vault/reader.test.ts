import { describe, expect, test } from "vitest";

import { Memento } from "../memento.ts";
import { MemoryStore } from "../store/memory/index.ts";
import { mementoQuery } from "../store/query.ts";
import type { MementoStore, StoredMemento } from "../store/store.ts";
import { cacheStore, observeStore, type PackBytes } from "../store/wrap/index.ts";
import { rawKeyRing } from "./keys/key-ring.ts";
import { MementoReader } from "./reader.ts";
import { Vault } from "./vault.ts";

interface Row {
  readonly id: number;
  readonly text: string;
}

const KEY = "rows";

/** A piece of half a megabyte, changed once: held whole in the first of two mementos, by a delta in the second. */
async function changedOnce(): Promise<{
  store: MemoryStore;
  vault: Vault;
  ids: readonly string[];
  rows: readonly Row[];
}> {
  const store = await MemoryStore.open();
  const vault = await Vault.open(store, { keys: rawKeyRing([new Uint8Array(32).fill(1)]) });
  const state = await vault.ensureTimeline({ caretaker: "c", originator: "o", partition: "", fork: "" }, "value");
  const writer = await vault.writer(state);
  const rows: Row[] = Array.from({ length: 8_000 }, (_, id) => ({ id, text: `the text of row ${id}, ${id * 7919}` }));
  const save = async (): Promise<string> => {
    const draft = { reason: "save", status: "saved", generation: 0, pieces: new Map([[KEY, rows]]) } as const;
    return (await writer.append(draft)).entry.id;
  };
  const first = await save();
  rows[4_000] = { id: 4_000, text: "changed" };
  return { store, vault, ids: [first, await save()], rows };
}

describe("MementoReader.content()", () => {
  test("puts a large piece together, whose whole part another thread opens", async () => {
    const { store, vault, ids, rows } = await changedOnce();
    const reader = new MementoReader(store, vault.dataKeys);
    const record = await reader.open(ids[1] ?? "");
    expect(record.place(KEY).base?.holder).toBe(ids[0]);
    const { content, keyframe, links } = await reader.content(record, KEY, new Map());
    expect(JSON.parse(Buffer.from(content).toString())).toEqual(rows);
    expect([keyframe, links.length]).toEqual([ids[0], 1]);
  });

  test.each([
    ["cannot be opened", 1],
    ["is gone", null],
  ])("P3: is DAMAGED, naming both, where the whole part %s", async (_what, flipped) => {
    const { store, vault, ids } = await changedOnce();
    const read = async (id: string): Promise<StoredMemento | null> => {
      const stored = await store.read(id);
      if (id !== ids[0] || stored === null) return stored;
      if (flipped === null) return null;
      const body = Buffer.from(stored.body ?? []);
      const at = body.length - 1_000;
      body[at] = (body[at] ?? 0) ^ flipped;
      return { ...stored, body };
    };
    const reader = new MementoReader({ read }, vault.dataKeys);
    const record = await reader.open(ids[1] ?? "");
    const told = reader.content(record, KEY, new Map());
    await expect(told).rejects.toMatchObject({ code: "DAMAGED", message: expect.stringContaining(ids[0] ?? "none") });
  });
});

describe("MementoReader over a cache", () => {
  const shared = (): { get(name: string): Promise<PackBytes | null>; put(name: string, pack: PackBytes): void } => {
    const packs = new Map<string, PackBytes>();
    return { get: async (name) => packs.get(name) ?? null, put: (name, pack) => void packs.set(name, pack) };
  };
  const caches: readonly (readonly [string, (store: MementoStore) => MementoStore])[] = [
    ["that asks each time", (store) => cacheStore(store)],
    ["that trusts what it has", (store) => cacheStore(store, { trustMs: Infinity })],
    ["with a shared part", (store) => cacheStore(store, { shared: shared() })],
    ["within a cache, and observed", (store) => observeStore(cacheStore(cacheStore(store)), {})],
  ];

  test.each(caches)("%s: what was damaged is read as soon as another process has mended it", async (_, wrap) => {
    const { store, vault, ids, rows } = await changedOnce();
    const [first = "", second = ""] = ids;
    const { header, body } = (await store.read(first)) ?? { header: new Uint8Array(), body: null };
    const put = async (bytes: Uint8Array | null): Promise<void> => {
      const there = { ids: [first], header, expectedHeaderDigest: null, dataKey: null };
      expect(await store.replacePack({ ...there, body: bytes })).toBe(true);
    };
    // In the section of its manifest, and in that of the large piece.
    for (const fromEnd of [(body?.length ?? 0) - 5, 1_000]) {
      const reader = new MementoReader(wrap(store), vault.dataKeys);
      const load = async (id: string): Promise<unknown> => {
        const { content } = await reader.content(await reader.open(id), KEY, new Map());
        return (JSON.parse(Buffer.from(content).toString()) as Row[])[4_000];
      };
      const damaged = Buffer.from(body ?? []);
      damaged[damaged.length - fromEnd] = (damaged[damaged.length - fromEnd] ?? 0) ^ 1;
      await put(damaged);
      for (const id of [first, second, first]) await expect(load(id)).rejects.toMatchObject({ code: "DAMAGED" });
      await put(body);
      expect(await load(second)).toEqual(rows[4_000]);
      expect(await load(first)).toMatchObject({ text: `the text of row 4000, ${4_000 * 7919}` });
    }
  });
});

describe("MementoReader.open(), of mementos that lie in one pack", () => {
  /** Three mementos that were saved at once, and a store that may lie about their pack. */
  async function savedAtOnce(): Promise<{
    readonly store: MemoryStore;
    readonly memento: Memento;
    readonly ids: readonly string[];
  }> {
    const store = await MemoryStore.open();
    const memento = await Memento.open(store, { keys: rawKeyRing([new Uint8Array(32).fill(1)]) });
    const saves = ["one", "two", "three"].map(
      async (originator) =>
        await memento
          .caretaker("c")
          .save({ originator, bytes: new Uint8Array(9) }, { originator, labels: { originator } }),
    );
    const ids = (await Promise.all(saves)).map(({ id }) => id);
    const packs = new Set((await Array.fromAsync(store.query(mementoQuery()))).map(({ pack }) => pack));
    expect(packs.size).toBe(1);
    return { store, memento, ids };
  }

  test("each is given as it is, whatever was done to what came before", async () => {
    const { memento, ids } = await savedAtOnce();
    for (let times = 0; times < 2; times++) {
      for (const [at, id] of ids.entries()) {
        const { entry } = await memento.vault.reader.open(id);
        const originator = ["one", "two", "three"][at];
        expect(entry).toMatchObject({ id, originator, labels: { originator } });
        Object.assign(entry.labels, { originator: "changed" });
        const state = (await memento.caretaker("c").load(id)) as { readonly bytes: Uint8Array };
        expect(state).toEqual({ originator, bytes: new Uint8Array(9) });
        state.bytes.fill(7);
      }
    }
  });

  test.each(["header", "body"] as const)(
    "P3: no byte of its %s is believed because it was right before",
    async (part) => {
      const { store, memento, ids } = await savedAtOnce();
      const [first = "", second = ""] = ids;
      const stored = await store.read(first);
      const bytes = Buffer.from(stored?.[part] ?? []);
      for (let at = 0; at < bytes.length; at++) {
        const flipped = Buffer.from(bytes);
        flipped[at] = (flipped[at] ?? 0) ^ 1;
        const read = async (id: string): Promise<StoredMemento | null> => {
          const found = await store.read(id);
          return id === first || found === null ? found : { ...found, [part]: flipped };
        };
        const reader = new MementoReader({ read }, memento.vault.dataKeys);
        await reader.open(first);
        await expect(reader.open(second)).rejects.toMatchObject({
          code: expect.stringMatching(/^(DAMAGED|FORMAT_UNKNOWN|KEY_MISSING)$/u) as string,
        });
      }
    },
  );

  test("P3: bytes that change where they lie are not believed either", async () => {
    const { store, memento, ids } = await savedAtOnce();
    const [first = "", second = ""] = ids;
    const stored = await store.read(first);
    const body = Buffer.from(stored?.body ?? []);
    const read = async (id: string): Promise<StoredMemento | null> => {
      const found = await store.read(id);
      return found && { ...found, body };
    };
    const reader = new MementoReader({ read }, memento.vault.dataKeys);
    await reader.open(first);
    body[0] = (body[0] ?? 0) ^ 1;
    await expect(reader.open(second)).rejects.toMatchObject({ code: "DAMAGED" });
  });
});
