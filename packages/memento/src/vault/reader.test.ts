import { describe, expect, test } from "vitest";

import { MemoryStore } from "../store/memory/index.ts";
import type { StoredMemento } from "../store/store.ts";
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
