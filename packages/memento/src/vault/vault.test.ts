import { describe, expect, test } from "vitest";

import { decodePackHeader } from "../store/header.ts";
import { MemoryStore } from "../store/memory/index.ts";
import type { MementoStore } from "../store/store.ts";
import { rawKeyRing } from "./keys/key-ring.ts";
import type { TimelineWriter } from "./timeline-writer.ts";
import { Vault } from "./vault.ts";

const key = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const address = { caretaker: "c", originator: "o", partition: "", fork: "" };

async function withVault(
  work: (vault: Vault, writer: TimelineWriter, store: MementoStore) => Promise<void>,
  keys = rawKeyRing([key(1)]),
): Promise<void> {
  const store = await MemoryStore.open();
  await using vault = await Vault.open(store, { keys });
  await work(vault, await vault.writer(await vault.ensureTimeline(address, "value")), store);
}

const draft = (pieces: Record<string, unknown>): Parameters<TimelineWriter["append"]>[0] => ({
  reason: "save",
  status: "saved",
  generation: 0,
  pieces: new Map(Object.entries(pieces)),
});

describe("append() and load()", () => {
  test("gives back every piece, and does not write unchanged ones again", async () => {
    await withVault(async (vault, writer) => {
      const big = Array.from({ length: 5_000 }, (_, row) => ({ row, text: `row ${row}` }));
      await writer.append(draft({ big, count: 1 }));
      const second = await writer.append(draft({ big, count: 2 }));
      expect(second.entry.sizes.heldBytes).toBeLessThan(10);
      expect(second.entry.sizes.logicalBytes).toBeGreaterThan(100_000);
      const loaded = await vault.load(second.entry.id);
      expect(await loaded.value("big")).toEqual(big);
      expect(await loaded.value("count")).toBe(2);
      expect(loaded.digest).toBe(second.digest);
    });
  });

  test("a thousand mementos with a piece each: the last one has all of them", async () => {
    await withVault(async (vault, writer) => {
      let last = "";
      for (let index = 0; index < 300; index++)
        last = (await writer.append(draft({ [`output/${index}`]: { index } }))).entry.id;
      const loaded = await vault.load(last);
      expect(loaded.keys("output/")).toHaveLength(300);
      expect(await loaded.value("output/0")).toEqual({ index: 0 });
      expect(await loaded.value("output/157")).toEqual({ index: 157 });
    });
  });

  test("values that do not fit one section come back", async () => {
    await withVault(async (vault, writer) => {
      const bytes = new Uint8Array(9_000_000).map((_, index) => (index * 7919) & 255);
      const { entry } = await writer.append(draft({ a: bytes, b: bytes.slice(1), c: "small" }));
      const loaded = await vault.load(entry.id);
      expect(Buffer.from((await loaded.value("a")) as Uint8Array).equals(Buffer.from(bytes))).toBe(true);
      expect(((await loaded.value("b")) as Uint8Array).length).toBe(8_999_999);
      expect(await loaded.value("c")).toBe("small");
    });
  });

  test("a dropped piece is gone, and is still there in the memento before", async () => {
    await withVault(async (vault, writer) => {
      const first = await writer.append(draft({ a: 1, b: 2 }));
      const second = await writer.append({ ...draft({}), drop: ["a"] });
      expect((await vault.load(second.entry.id)).keys()).toEqual(["b"]);
      expect((await vault.load(first.entry.id)).keys()).toEqual(["a", "b"]);
    });
  });

  test("refuses a stale head with CONFLICT and a taken epoch with FENCED", async () => {
    await withVault(async (vault, writer, store) => {
      const state = await vault.timeline(writer.timeline.key);
      const other = await vault.writer(state);
      await writer.append(draft({ a: 1 }));
      await expect(other.append(draft({ a: 2 }))).rejects.toMatchObject({ code: "CONFLICT" });
      const lease = vault.leaseOf(state.record.key, { epoch: 1, owner: "x", expiresAt: 1, holder: null });
      expect(await store.acquireLease({ timeline: state.record.key, lease })).toBe(true);
      await expect(writer.append(draft({ a: 3 }))).rejects.toMatchObject({ code: "FENCED" });
    });
  });

  test("saves that are asked for together share a pack, and each is loaded on its own", async () => {
    await withVault(async (vault, _writer, store) => {
      const writers = await Promise.all(
        Array.from(
          { length: 20 },
          async (_, index) =>
            await vault.writer(await vault.ensureTimeline({ ...address, originator: `o${index}` }, "value")),
        ),
      );
      const saved = await Promise.all(writers.map(async (writer, index) => await writer.append(draft({ index }))));
      const stored = await store.read(saved[7]?.entry.id ?? "");
      expect(decodePackHeader(stored?.header ?? new Uint8Array(), "x").entries).toHaveLength(20);
      for (const [index, { entry }] of saved.entries())
        expect(await (await vault.load(entry.id)).value("index")).toBe(index);
    });
  });
});

describe("P3 true: changed bytes are found", () => {
  test("every byte of header and body of a pack", async () => {
    await withVault(async (vault, writer, store) => {
      const { entry } = await writer.append({
        ...draft({ a: { secret: "value" }, b: [1, 2, 3] }),
        fields: { note: "n" },
      });
      const stored = await store.read(entry.id);
      if (stored?.body === null || stored === null) throw new Error("no body");
      const { header, body } = stored;
      for (const part of ["header", "body"] as const) {
        for (let index = 0; index < { header, body }[part].length; index++) {
          const changed = { ...stored, header: Uint8Array.from(header), body: Uint8Array.from(body) };
          changed[part][index] = (changed[part][index] ?? 0) ^ (1 << (index % 8));
          await expect(vault.reader.openStored(entry.id, changed), `${part} byte ${index}`).rejects.toMatchObject({
            code: expect.stringMatching(/^(DAMAGED|FORMAT_UNKNOWN)$/),
          });
        }
      }
      for (let cut = 0; cut < body.length; cut++) {
        await expect(vault.reader.openStored(entry.id, { ...stored, body: body.slice(0, cut) })).rejects.toMatchObject({
          code: "DAMAGED",
        });
      }
    });
  });

  test("an unsealed store finds them too", async () => {
    const store = await MemoryStore.open();
    await using vault = await Vault.open(store, { keys: null });
    const writer = await vault.writer(await vault.ensureTimeline(address, "value"));
    const { entry } = await writer.append(draft({ a: "text" }));
    const stored = await store.read(entry.id);
    if (stored?.body === null || stored === null) throw new Error("no body");
    for (let index = 0; index < stored.body.length; index++) {
      const body = Uint8Array.from(stored.body);
      body[index] = (body[index] ?? 0) ^ 1;
      await expect(vault.reader.openStored(entry.id, { ...stored, body })).rejects.toMatchObject({ code: "DAMAGED" });
    }
  });
});

describe("P4 secret: keys", () => {
  test("no key, no plaintext; a wrong key is one clear error", async () => {
    const store = await MemoryStore.open();
    const vault = await Vault.open(store, { keys: rawKeyRing([key(1)]) });
    const writer = await vault.writer(await vault.ensureTimeline(address, "value"));
    const { entry } = await writer.append({ ...draft({ a: "top secret words" }), fields: { error: "secret failure" } });
    const stored = await store.read(entry.id);
    const bytes = Buffer.concat([stored?.header ?? new Uint8Array(), stored?.body ?? new Uint8Array()]).toString(
      "latin1",
    );
    expect(bytes).not.toContain("secret");
    await expect(Vault.open(store, { keys: rawKeyRing([key(2)]) })).rejects.toMatchObject({ code: "KEY_WRONG" });
    await expect(Vault.open(store, { keys: null })).rejects.toMatchObject({ code: "KEY_MISSING" });
    const both = await Vault.open(store, { keys: rawKeyRing([key(2), key(1)]) });
    expect(await (await both.load(entry.id)).value("a")).toBe("top secret words");
  });

  test("a plaintext pack that appears in a sealed store is not read", async () => {
    await withVault(async (vault, writer) => {
      const plain = await MemoryStore.open();
      await using other = await Vault.open(plain, { keys: null });
      const foreign = await other.writer(await other.ensureTimeline(address, "value"));
      const { entry } = await foreign.append(draft({ a: 1 }));
      const stored = await plain.read(entry.id);
      if (stored === null) throw new Error("not stored");
      await expect(vault.reader.openStored(entry.id, stored)).rejects.toMatchObject({ code: "DAMAGED" });
      await writer.append(draft({ a: 1 }));
    });
  });
});

describe("the keyed checks", () => {
  test("a head, lease or record that was changed is found", async () => {
    await withVault(async (vault, writer) => {
      await writer.append(draft({ a: 1 }));
      const state = await vault.timeline(writer.timeline.key);
      const { record, head, lease } = state;
      if (head === null) throw new Error("no head");
      for (const changed of [
        { ...state, head: { ...head, sequence: 2 } },
        { ...state, head: { ...head, id: `${head.id}x` } },
        { ...state, lease: { ...lease, epoch: 9 } },
        { ...state, record: { ...record, originator: "other" } },
      ]) {
        expect(() => vault.verified(changed), JSON.stringify(changed)).toThrow(
          expect.objectContaining({ code: "DAMAGED" }),
        );
      }
      expect(vault.verified(state)).toBe(state);
    });
  });
});
