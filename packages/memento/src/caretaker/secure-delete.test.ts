import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { Memento } from "../memento.ts";
import { decodeHeader } from "../store/header.ts";
import { MemoryStore } from "../store/memory/index.ts";
import type { MementoStore, StoredCommit } from "../store/store.ts";
import { unwrapKey } from "../vault/data-keys.ts";
import { rawKeyRing } from "../vault/keys/key-ring.ts";
import { openPack } from "../vault/repack.ts";
import { openSection } from "../vault/seal.ts";

const RAW = new Uint8Array(32).fill(9);
const options = { keys: { raw: [RAW] } };
const SECRET = "4111-1111-1111-1111";

async function withStore(work: (memento: Memento, store: MementoStore) => Promise<void>): Promise<void> {
  const store = await MemoryStore.open();
  await using memento = await Memento.open(store, options);
  await work(memento, store);
}

/** About 6 KB of rows, one of which may hold the secret. */
function rows(version: number, secretAt: number | null): { id: number; text: string }[] {
  return Array.from({ length: 150 }, (_, id) => ({
    id,
    text:
      id === secretAt
        ? `card ${SECRET}`
        : id === version % 150
          ? `row ${id} of version ${version}`
          : `row ${id} as it was`,
  }));
}

/** Opens every byte of every pack that any key of the store opens, and gives it as text. */
async function plaintext(store: MementoStore, commits?: readonly StoredCommit[]): Promise<string> {
  const ring = rawKeyRing([RAW]);
  const keys = new Map<string, Uint8Array>();
  for (const record of await store.keys()) keys.set(record.id, await unwrapKey(ring, record));
  const texts: string[] = [];
  for (const { header, body } of commits ?? (await Array.fromAsync(store.commits(null)))) {
    const read = decodeHeader(header, "a commit");
    if (read.type !== "pack" || body === null) continue;
    const key = keys.get(read.dataKey ?? "");
    if (key === undefined) continue;
    const opened = openPack({ header, body }, { id: read.dataKey ?? "", key }, "a pack");
    for (const bytes of [...opened.manifests, ...opened.sections]) texts.push(Buffer.from(bytes).toString("latin1"));
  }
  return texts.join("\n");
}

/** Tries each section of old packs with every key that is left; gives how many opened. */
async function opensWithAnyKey(store: MementoStore, commits: readonly StoredCommit[]): Promise<number> {
  const ring = rawKeyRing([RAW]);
  let opened = 0;
  for (const record of await store.keys()) {
    const key = { id: record.id, key: await unwrapKey(ring, record) };
    for (const { header, body } of commits) {
      const read = decodeHeader(header, "a commit");
      if (read.type !== "pack" || body === null) continue;
      for (const index of read.sections.keys()) {
        try {
          openSection({ header, body }, read, index, key, "an old pack");
          opened += 1;
        } catch (error) {
          expect(error).toMatchObject({ code: "DAMAGED" });
        }
      }
    }
  }
  return opened;
}

describe("secureDelete()", () => {
  test("leaves nothing either of what it shares with mementos that were removed before, under keys of other sessions", async () => {
    await withStore(async (memento, store) => {
      const caretaker = memento.caretaker("c");
      const stream = Buffer.from(`${"x".repeat(3_000_000)}${SECRET}${"y".repeat(3_000_000)}`);
      const state = { rows: rows(1, 77), card: SECRET };
      const first = await caretaker.save(state, { originator: "state", id: "first" });
      await caretaker.saveStream([stream], { originator: "stream", id: "stream" });
      await caretaker.save({ rows: rows(1, null) }, { originator: "other", id: "kept" });
      // Each opening seals by a key of its own.
      await using later = await Memento.open(store, options);
      const second = await later.caretaker("c").save({ ...state, note: 2 }, { originator: "state" });
      const longer = await later.caretaker("c").saveStream([stream, Buffer.from("z")], { originator: "stream" });
      for (const id of [first.id, "stream"]) await later.caretaker("c").delete(id);
      expect(await plaintext(store)).toContain(SECRET);
      const { dataKeys } = await later.secureDelete([second.id, longer.id], { reason: "asked for" });
      expect(dataKeys).toHaveLength(2);
      expect(await plaintext(store)).not.toContain(SECRET);
      await using fresh = await Memento.open(store, options);
      expect(await fresh.caretaker("c").load("kept")).toEqual({ rows: rows(1, null) });
      expect(await fresh.verify()).toMatchObject({ sound: true, mementos: 1 });
    });
  });

  test("leaves nothing that any key opens, of the store as it is and of a copy from before, and the others exact", async () => {
    await withStore(async (memento, store) => {
      const caretaker = memento.caretaker("c");
      const kept: [string, unknown][] = [];
      const doomed: string[] = [];
      for (let version = 0; version < 12; version++) {
        const state = { rows: rows(version, version >= 4 && version < 8 ? 77 : null), note: `n${version}` };
        const { id } = await caretaker.save(state, version === 5 ? { metadata: { card: SECRET } } : {});
        if (version >= 4 && version < 8) doomed.push(id);
        else kept.push([id, state]);
      }
      const before = await Array.fromAsync(store.commits(null));
      expect(await plaintext(store)).toContain(SECRET);
      const report = await memento.secureDelete(doomed, { reason: "asked for", by: "ann" });
      expect(report).toMatchObject({ mementos: doomed, dataKeys: [expect.any(String)] });
      expect(report.resealed).toBeGreaterThan(0);
      expect(await plaintext(store)).not.toContain(SECRET);
      expect(await plaintext(store, before)).not.toContain(SECRET);
      expect(await opensWithAnyKey(store, before)).toBe(0);
      await using fresh = await Memento.open(store, options);
      for (const [id, state] of kept) expect(await fresh.caretaker("c").load(id)).toEqual(state);
      for (const id of doomed)
        await expect(fresh.caretaker("c").load(id)).rejects.toThrow(expect.objectContaining({ code: "NOT_FOUND" }));
      expect(await fresh.verify()).toMatchObject({ sound: true, mementos: kept.length });
      // Savers that were open all the while go on, with a key of their own.
      await caretaker.save({ rows: rows(12, null), note: "n12" });
      expect(await fresh.verify()).toMatchObject({ sound: true });
      const notices = (await Array.fromAsync(store.commits(null))).flatMap(({ header }) => {
        const read = decodeHeader(header, "a commit");
        return read.type === "notice" && read.notice.kind === "erased" ? [read.notice] : [];
      });
      expect(notices.map(({ details }) => details["step"])).toEqual(["begun", "done"]);
      expect(notices[1]).toMatchObject({
        mementos: doomed,
        details: { by: "ann", reason: "asked for", dataKeys: report.dataKeys },
      });
    });
  });

  test("of a head: nobody builds on it any more, and the next save goes on", async () => {
    await withStore(async (memento, store) => {
      const caretaker = memento.caretaker("c");
      const first = await caretaker.save({ rows: rows(0, null) });
      const { id } = await caretaker.save({ rows: rows(1, 3) });
      await memento.secureDelete([id], { reason: "r" });
      expect(await plaintext(store)).not.toContain(SECRET);
      expect(await caretaker.latest()).toEqual({ rows: rows(0, null) });
      const next = await caretaker.save({ rows: rows(2, null) });
      expect(await caretaker.load(next.id)).toEqual({ rows: rows(2, null) });
      expect(await caretaker.load(first.id)).toEqual({ rows: rows(0, null) });
      expect(await memento.verify()).toMatchObject({ sound: true, mementos: 2 });
    });
  });

  test("what others have of the same content stays, for it is theirs", async () => {
    await withStore(async (memento) => {
      const caretaker = memento.caretaker("c");
      const { id } = await caretaker.save({ shared: rows(0, 5), own: `mine ${SECRET}` });
      const kept = await caretaker.save({ shared: rows(0, 5), own: "another" });
      await memento.secureDelete([id], { reason: "r" });
      expect(await caretaker.load(kept.id)).toEqual({ shared: rows(0, 5), own: "another" });
    });
  });

  test("takes one that was removed, and whose space was freed, before", async () => {
    await withStore(async (memento, store) => {
      const caretaker = memento.caretaker("c");
      const { id } = await caretaker.save(`mine ${SECRET}`);
      await caretaker.save("other");
      await caretaker.delete(id);
      const before = await Array.fromAsync(store.commits(null));
      await memento.collect();
      await memento.secureDelete([id], { reason: "r" });
      expect(await opensWithAnyKey(store, before)).toBe(0);
      expect(await caretaker.latest()).toBe("other");
    });
  });

  test("refuses pinned ones, unknown ones, and stores without sealing", async () => {
    await withStore(async (memento) => {
      const caretaker = memento.caretaker("c");
      const { id } = await caretaker.save("a");
      await caretaker.save("b");
      await caretaker.pin(id);
      await expect(memento.secureDelete([id], { reason: "r" })).rejects.toThrow(
        expect.objectContaining({ code: "CONFLICT" }),
      );
      await expect(memento.secureDelete(["0123456789ab-1-abcdef"], { reason: "r" })).rejects.toThrow(
        expect.objectContaining({ code: "NOT_FOUND" }),
      );
      expect(await caretaker.load(id)).toBe("a");
    });
    await using plain = await Memento.open(await MemoryStore.open(), { keys: false });
    const { id } = await plain.caretaker("c").save("a");
    await expect(plain.secureDelete([id], { reason: "r" })).rejects.toThrow(
      expect.objectContaining({ code: "CAPABILITY_MISSING" }),
    );
  });

  test("any line with any of its mementos deleted: no byte of what only they had is left, the others are exact", async () => {
    const versions = fc.array(
      fc.record({ secretAt: fc.option(fc.nat(149)), doomed: fc.boolean(), full: fc.boolean(), edit: fc.nat(149) }),
      { minLength: 2, maxLength: 25 },
    );
    await fc.assert(
      fc.asyncProperty(versions, async (line) => {
        await withStore(async (memento, store) => {
          const caretaker = memento.caretaker("c");
          const kept: [string, unknown][] = [];
          const doomed: string[] = [];
          const secrets: string[] = [];
          for (const [index, at] of line.entries()) {
            const secret = `<secret ${index}>`;
            const state = {
              rows: rows(at.edit, null).map((row) => (row.id === at.secretAt ? { ...row, text: secret } : row)),
            };
            const { id } = await caretaker.save(state, { full: at.full && at.edit > 75 });
            if (at.doomed) {
              doomed.push(id);
              if (at.secretAt !== null) secrets.push(secret);
            } else kept.push([id, state]);
          }
          if (doomed.length === 0) return;
          const before = await Array.fromAsync(store.commits(null));
          await memento.secureDelete(doomed, { reason: "r" });
          const left = await plaintext(store);
          for (const secret of secrets) expect(left).not.toContain(secret);
          expect(await opensWithAnyKey(store, before)).toBe(0);
          for (const [id, state] of kept) expect(await caretaker.load(id)).toEqual(state);
          expect(await memento.verify()).toMatchObject({ sound: true, mementos: kept.length });
        });
      }),
      { numRuns: 60 },
    );
  });
});
