import { describe, expect, test } from "vitest";

import { systemRandom } from "../core/ports.ts";
import { entryText } from "../store/entry-text.ts";
import { decodePackHeader } from "../store/header.ts";
import { MemoryStore } from "../store/memory/index.ts";
import type { StoredMemento } from "../store/store.ts";
import { rawKeyRing } from "./keys/key-ring.ts";
import { manifestOf, openPack, repack, wholeSlots, type OpenedPack, type RepackSeal } from "./repack.ts";
import type { DataKey, SealedPack } from "./seal.ts";
import type { MementoDraft } from "./timeline-writer.ts";
import { Vault } from "./vault.ts";

const SECRET = "the secret of slot ";
const plain: RepackSeal = { dataKey: null, compression: { codec: "none" }, random: systemRandom };
const otherKey: DataKey = { id: "dother", key: new Uint8Array(32).fill(9) };

/** One pack of three mementos, each with a large piece and a small one. */
async function packOfThree(pad: number): Promise<{ vault: Vault; pack: SealedPack; opened: OpenedPack }> {
  const store = await MemoryStore.open();
  const vault = await Vault.open(store, { keys: rawKeyRing([new Uint8Array(32).fill(1)]) });
  const saved = await Promise.all(
    ["a", "b", "c"].map(async (originator) => {
      const state = await vault.ensureTimeline({ caretaker: "c", originator, partition: "", fork: "" }, "value");
      const pieces = new Map<string, unknown>([
        ["large", `${SECRET}${originator} `.repeat(pad)],
        ["small", originator],
      ]);
      const draft: MementoDraft = {
        reason: "save",
        status: "saved",
        generation: 0,
        pieces,
        fields: { of: originator },
      };
      return await (await vault.writer(state)).append(draft);
    }),
  );
  const stored = (await store.read(saved[0]?.entry.id ?? "")) as StoredMemento;
  const header = decodePackHeader(stored.header, "the pack");
  expect(header.entries).toHaveLength(3);
  const pack = { header: stored.header, body: stored.body ?? new Uint8Array() };
  const dataKey = await vault.dataKeys?.forOpening(header.dataKey ?? "");
  return { vault, pack, opened: openPack(pack, dataKey ?? null, "the pack") };
}

describe.each([
  ["inline pieces", 3],
  ["pieces in sections of their own", 2_000],
])("repack() of %s", (_what, pad) => {
  test("keeps every digest and every piece under another key", async () => {
    const { opened } = await packOfThree(pad);
    const sealed = await repack(opened, wholeSlots([0, 1, 2]), { ...plain, dataKey: otherKey });
    const again = openPack(sealed, otherKey, "the new pack");
    for (const slot of [0, 1, 2]) expect(manifestOf(again, slot)?.digest).toBe(manifestOf(opened, slot)?.digest);
    expect(again.sections).toEqual(opened.sections);
    expect(decodePackHeader(sealed.header, "it").dataKey).toBe("dother");
  });

  test("leaves out slots: neither their entries nor a byte of theirs is in the new pack", async () => {
    const { opened } = await packOfThree(pad);
    const sealed = await repack(opened, wholeSlots([0, 2]), plain);
    const text = Buffer.concat([sealed.header, sealed.body]).toString("latin1");
    expect(text).toContain(`${SECRET}a`);
    expect(text).not.toContain(`${SECRET}b`);
    expect(text).not.toContain(opened.header.entries[1]?.id);
    const again = openPack(sealed, null, "the new pack");
    expect(manifestOf(again, 1)?.digest).toBe(manifestOf(opened, 2)?.digest);
  });

  test("empties slots whose entries stay, and keeps single pieces that others need", async () => {
    const { opened } = await packOfThree(pad);
    const selection = {
      slots: [0, 1, 2],
      manifest: (slot: number) => slot !== 0,
      piece: (slot: number, key: string) => slot === 2 || key === "small",
    };
    const sealed = await repack(opened, selection, plain);
    const text = Buffer.concat([sealed.header, sealed.body]).toString("latin1");
    const again = openPack(sealed, null, "the new pack");
    expect(again.header.entries.map(entryText)).toEqual(opened.header.entries.map(entryText));
    expect(manifestOf(again, 0)).toBeNull();
    expect(manifestOf(again, 1)?.digest).toBe(manifestOf(opened, 1)?.digest);
    for (const gone of ["a", "b"]) expect(text).not.toContain(`${SECRET}${gone}`);
    expect(text).toContain(`${SECRET}c`);
  });

  test("what does not stay compresses to nothing", async () => {
    const { opened } = await packOfThree(pad);
    const zstd = { ...plain, compression: { codec: "zstd" } } as const;
    const one = await repack(opened, { ...wholeSlots([0, 1, 2]), piece: () => false }, zstd);
    expect(one.body.length).toBeLessThan(2_500);
  });
});

describe("openPack()", () => {
  test("refuses a pack of which a byte was changed", async () => {
    const { opened } = await packOfThree(3);
    const { header, body } = await repack(opened, wholeSlots([0, 1, 2]), plain);
    for (let at = 0; at < body.length; at++) {
      const changed = Uint8Array.from(body);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(() => openPack({ header, body: changed }, null, "the pack")).toThrow(/the pack/u);
    }
  });

  test("refuses a slot that is none", async () => {
    const { opened } = await packOfThree(3);
    await expect(repack(opened, wholeSlots([3]), plain)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});
