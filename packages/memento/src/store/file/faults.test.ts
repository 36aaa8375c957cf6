import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { mayMount, withSmallDisk } from "../../../../../test/harness/small-disk.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { systemClock, systemRandom } from "../../core/ports.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { mementoQuery } from "../query.ts";
import { DurableFiles } from "./durable-write.ts";
import { nodeFiles, type FilePort } from "./file-port.ts";
import { FileStore } from "./store.ts";

const hasDisks = await requireEngine("a small tmpfs (root)", mayMount);

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "memento-file-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function withStore(path: string, run: (store: FileStore, make: StoreFixture) => Promise<void>): Promise<void> {
  await using store = await FileStore.open({ path });
  const make = new StoreFixture(1);
  await store.create(make.meta(), make.key("integrity"));
  await run(store, make);
}

describe.skipIf(!hasDisks)("a full disk", () => {
  test("is DISK_FULL, loses nothing, leaves nothing behind, and is no hindrance once there is room", async () => {
    await withSmallDisk("size=800k", async (mount, remount) => {
      await withStore(join(mount, "store"), async (store, make) => {
        const line = await make.timeline(store);
        const saved: MementoEntry[] = [];
        const fill = async (): Promise<void> => {
          for (;;) {
            const record = line.record({ name: `n-${line.sequence}` });
            await store.append(make.batch([record], { body: Buffer.alloc(9_000, 7) }));
            saved.push(record.entry);
            line.sequence += 1;
          }
        };
        await expectCode("DISK_FULL", fill);
        await expectCode("DISK_FULL", async () => {
          for (;;) await store.note(make.notice("restored"));
        });
        expect(await readdir(join(mount, "store", "temporary"))).toEqual([]);
        const rows = await collect(store.query(mementoQuery({ order: "ascending" })));
        expect(rows.map(({ entry }) => entry.id)).toEqual(saved.map(({ id }) => id));
        expect(await collect(store.check())).toEqual([]);
        remount("size=4m");
        await line.save(store, { name: "there is room" });
        expect(await collect(store.check())).toEqual([]);
      });
    });
  });

  test("when it is full before there is a store, leaves no store", async () => {
    await withSmallDisk("size=4k", async (mount, remount) => {
      await using store = await FileStore.open({ path: join(mount, "store") });
      const make = new StoreFixture(1);
      await expectCode("DISK_FULL", () => store.create(make.meta(), make.key("integrity")));
      expect(await store.meta()).toBeNull();
      remount("size=1m");
      expect(await store.create(make.meta(), make.key("integrity"))).not.toBeNull();
    });
  });
});

describe.skipIf(!hasDisks)("a read-only file system", () => {
  test("is read as ever, and a write is IO_FAILED with path and reason", async () => {
    await withSmallDisk("size=1m", async (mount, remount) => {
      const path = join(mount, "store");
      await withStore(
        path,
        async (store, make) => void (await (await make.timeline(store)).save(store, { name: "gold" })),
      );
      remount("ro");
      await using store = await FileStore.open({ path });
      const [row] = await collect(store.query(mementoQuery()));
      expect((await store.read(row?.entry.id ?? ""))?.removed).toBe(false);
      expect(await store.findByName("etl", "gold")).toBe(row?.entry.id);
      expect(await collect(store.commits(null))).toHaveLength(1);
      expect(await collect(store.check())).toEqual([]);
      const write = store.note(new StoreFixture(1).notice("restored"));
      await expect(write).rejects.toMatchObject({
        code: "IO_FAILED",
        message: expect.stringContaining("the file system is read-only") as string,
        details: { reason: "EROFS", path: expect.stringContaining(mount) as string },
      });
    });
  });
});

describe("open()", () => {
  test("touches nothing, and a folder that is not there holds no store", async () => {
    const path = join(folder, "a", "b");
    await using store = await FileStore.open({ path });
    expect(await store.meta()).toBeNull();
    expect(await store.keys()).toEqual([]);
    expect(await collect(store.timelines(null))).toEqual([]);
    expect(await collect(store.commits(null))).toEqual([]);
    expect(await collect(store.check())).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
    await withStore(path, async (made) => expect(await made.meta()).not.toBeNull());
  });

  test("a file in the folder's place is NOT_A_STORE", async () => {
    const path = join(folder, "file");
    await writeFile(path, "no folder");
    await using store = await FileStore.open({ path });
    const make = new StoreFixture(1);
    await expectCode("NOT_A_STORE", () => store.meta());
    await expectCode("NOT_A_STORE", () => store.create(make.meta(), make.key("integrity")));
  });

  test("other people's files in the folder are left alone", async () => {
    await writeFile(join(folder, "notes.txt"), "mine");
    await withStore(folder, async (store, make) => void (await (await make.timeline(store)).save(store)));
    expect(await readdir(folder)).toContain("notes.txt");
  });

  test("takes names of every kind and length", async () => {
    await withStore(join(folder, "store"), async (store, make) => {
      const names = [
        "../..",
        "CON",
        "con",
        "a/b\\c:d*?",
        "ünïcode ✈ 🙂",
        "ß",
        "SS",
        "x".repeat(200),
        ".",
        "-rf",
        "a\u0301",
        "á",
      ];
      for (const name of names) {
        expect(await store.saveCaretaker(make.caretaker(name, 1), make.notice("caretaker-saved"))).toBe(true);
        const line = await make.timeline(store, { caretaker: name, originator: name, partition: name, fork: name });
        const { id } = await line.save(store, { name });
        expect(await store.findByName(name, name)).toBe(id);
      }
      expect(new Set((await store.caretakers()).map(({ name }) => name))).toEqual(new Set(names));
      expect(await collect(store.timelines(null))).toHaveLength(names.length);
      expect(await collect(store.check())).toEqual([]);
    });
  });
});

describe("what crashes leave behind", () => {
  test("is swept before the first write once it is an hour old", async () => {
    const path = join(folder, "store");
    await withStore(path, async () => undefined);
    const [old, young] = [join(path, "temporary", "told"), join(path, "temporary", "tyoung")];
    await writeFile(old, "left");
    await writeFile(young, "being written");
    const twoHoursAgo = new Date(systemClock.now() - 7_200_000);
    await utimes(old, twoHoursAgo, twoHoursAgo);
    await using store = await FileStore.open({ path });
    await store.keys();
    expect(await readdir(join(path, "temporary"))).toHaveLength(2);
    await store.note(new StoreFixture(1).notice("restored"));
    expect(await readdir(join(path, "temporary"))).toEqual(["tyoung"]);
  });
});

describe("DurableFiles", () => {
  const durable = (files: FilePort): DurableFiles =>
    new DurableFiles({ files, clock: systemClock, random: systemRandom, temporaryFolder: join(folder, "temporary") });
  const bytes = (content: string): readonly Uint8Array[] => [Buffer.from(content), Buffer.from("!")];
  const read = async (files: DurableFiles, name: string): Promise<string> =>
    Buffer.from((await files.read(join(folder, name))) ?? "").toString();

  test("createIfAbsent() has one winner, and replace() is whole", async () => {
    const files = durable(nodeFiles);
    const path = join(folder, "x");
    const created = await Promise.all(
      ["a", "b", "c", "d"].map((content) => files.createIfAbsent(path, bytes(content))),
    );
    expect(created.filter(Boolean)).toHaveLength(1);
    expect(await read(files, "x")).toBe(`${"abcd"[created.indexOf(true)]}!`);
    await files.replace(path, bytes("new"));
    expect(await read(files, "x")).toBe("new!");
    expect(await readdir(join(folder, "temporary"))).toEqual([]);
  });

  test("writes on after short writes, and gives up when no byte is taken", async () => {
    const taking = (most: number): FilePort => ({
      ...nodeFiles,
      create: async (path) => {
        const file = await nodeFiles.create(path);
        return { ...file, write: async (part) => (most === 0 ? 0 : await file.write(part.subarray(0, most))) };
      },
    });
    const slow = durable(taking(3));
    expect(await slow.createIfAbsent(join(folder, "x"), bytes("a longer text"))).toBe(true);
    expect(await read(slow, "x")).toBe("a longer text!");
    await expectCode("IO_FAILED", () => durable(taking(0)).replace(join(folder, "x"), bytes("b")));
    expect(await read(slow, "x")).toBe("a longer text!");
    expect(await readdir(join(folder, "temporary"))).toEqual([]);
  });

  test.each([
    ["ENOSPC", "DISK_FULL"],
    ["EDQUOT", "DISK_FULL"],
    ["EIO", "IO_FAILED"],
    ["EACCES", "IO_FAILED"],
    ["EROFS", "IO_FAILED"],
    ["EMFILE", "IO_FAILED"],
    ["EPERM", "CAPABILITY_MISSING"],
    ["EOPNOTSUPP", "CAPABILITY_MISSING"],
  ] as const)("a link that fails with %s is %s, and changes nothing", async (system, code) => {
    const link = async (): Promise<void> => {
      throw Object.assign(new Error(system), { code: system });
    };
    const files = durable({ ...nodeFiles, link });
    await expectCode(code, () => files.createIfAbsent(join(folder, "x"), bytes("a")));
    expect(await files.read(join(folder, "x"))).toBeNull();
    expect(await readdir(join(folder, "temporary"))).toEqual([]);
  });
});
