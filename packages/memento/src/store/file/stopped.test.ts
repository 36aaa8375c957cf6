import { describe, expect, test } from "vitest";

import { Killed, SimulatedDisk } from "../../../../../test/disk/simulated-disk.ts";
import {
  losePowerEverywhere,
  openStore,
  STORE_PATH,
  stopEverywhere,
  type Ground,
  type Play,
} from "../../../../../test/disk/stopped-process.ts";
import { isMementoError } from "../../core/errors.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { expectAppended, StoreFixture, TestTimeline } from "../../testing/store/fixture.ts";
import { collect } from "../../testing/store/kit.ts";
import { StorePaths } from "../blobs/paths.ts";
import { mementoQuery } from "../query.ts";
import type { AppendResult } from "../store.ts";
import type { FileStore } from "./store.ts";

const nothing = async (): Promise<void> => undefined;

/** Appends the next record of a line; gives its id and what became of it. */
async function append(
  store: FileStore,
  { make, lines }: Ground,
  line: 0 | 1,
  options: Parameters<TestTimeline["record"]>[0] = {},
): Promise<{ readonly id: string; readonly result: AppendResult | undefined }> {
  const record = lines[line].next(options);
  const [result] = await store.append(make.batch([record]));
  return { id: record.entry.id, result };
}

/** The line's state as the store tells it, for who comes later. */
async function catchUp(store: FileStore, line: TestTimeline): Promise<void> {
  const state = await store.timeline(line.key);
  line.epoch = state?.lease.epoch ?? 0;
  line.sequence = state?.head?.sequence ?? 0;
  line.parent = state?.head?.id ?? null;
}

async function removeFirst(store: FileStore, { make }: Ground): Promise<string> {
  const [row] = await collect(store.query(mementoQuery({ order: "ascending", removed: true, limit: 1 })));
  const id = row?.entry.id ?? "";
  await store.remove([id], make.notice("removed", { mementos: [id] }));
  return id;
}

describe("a process that is stopped before any of its calls, while another one works", { timeout: 120_000 }, () => {
  test("of two that want a free name one gets it, and the other is told by whom", async () => {
    await stopEverywhere(
      nothing,
      (store, ground) => append(store, ground, 0, { name: "gold" }),
      (store, ground) => append(store, ground, 1, { name: "gold" }),
      async ({ first, second }, store) => {
        const [winner, loser] = first.result?.outcome === "appended" ? [first, second] : [second, first];
        expect(winner.result).toEqual({ outcome: "appended" });
        expect(loser.result).toEqual({ outcome: "exists", id: winner.id });
        expect(await store.findByName("etl", "gold")).toBe(winner.id);
      },
    );
  });

  test("an append under a data key that is retired meanwhile is there by then, or never", async () => {
    const dataKey = new StoreFixture(9).key("data");
    const sealed = { dataKey, suite: "A256GCM" } as const;
    const outcomes = new Set<string>();
    await stopEverywhere(
      async (store, { make, lines }) => expectAppended(await store.append(make.batch([lines[0].next()], sealed))),
      async (store, { make, lines }) => {
        const record = lines[0].next();
        const [result] = await store.append(make.batch([record], sealed)).catch((error: unknown) => {
          if (isMementoError(error, "KEY_RETIRED")) return [];
          throw error;
        });
        return { id: record.entry.id, outcome: result?.outcome ?? "refused" };
      },
      async (store) => {
        expect(await store.retireKey(dataKey.id)).toBe(true);
        return (await collect(store.query(mementoQuery()))).map(({ entry }) => entry.id);
      },
      async ({ first, second }, store) => {
        const later = (await collect(store.query(mementoQuery()))).map(({ entry }) => entry.id);
        expect(later).toEqual(second);
        expect(first.outcome).toBe(later.includes(first.id) ? "appended" : "refused");
        outcomes.add(first.outcome);
      },
    );
    expect(outcomes).toEqual(new Set(["appended", "refused"]));
  });

  test("of two that move a name both are appended, and one of them has it", async () => {
    await stopEverywhere(
      async (store, ground) => void (await append(store, ground, 0, { name: "gold" })),
      (store, ground) => append(store, ground, 0, { name: "gold", replaceName: true }),
      (store, ground) => append(store, ground, 1, { name: "gold", replaceName: true }),
      async ({ first, second }, store) => {
        expectAppended([first.result, second.result].filter((result) => result !== undefined));
        expect([first.id, second.id]).toContain(await store.findByName("etl", "gold"));
      },
    );
  });

  test("a worker that was taken over is fenced, or was there before", async () => {
    await stopEverywhere(
      nothing,
      (store, ground) => append(store, ground, 0),
      async (store, { make, lines: [line] }) => {
        expect(await store.acquireLease({ timeline: line.key, lease: make.lease(2) })).toBe(true);
        await catchUp(store, line);
        const { id } = await line.save(store);
        return id;
      },
      async ({ first, second }, store, { lines: [line] }) => {
        const ids = (await collect(store.query(mementoQuery({ timeline: line.key, order: "ascending" })))).map(
          ({ entry }) => entry.id,
        );
        const isFirst = first.result?.outcome === "appended";
        expect(ids).toEqual(isFirst ? [first.id, second] : [second]);
        if (!isFirst) expect(first.result).toEqual({ outcome: "fenced", epoch: 2 });
      },
    );
  });

  test("a renewal does not undo a takeover or a release", async () => {
    await stopEverywhere(
      nothing,
      (store, { make, lines: [line] }) => store.renewLease({ timeline: line.key, lease: make.lease(1) }),
      async (store, { make, lines: [line, other] }) => {
        await store.acquireLease({ timeline: line.key, lease: make.lease(2, "taker") });
        await store.releaseLease({ timeline: other.key, lease: make.lease(1, null) }, "owner-1");
      },
      async (_, store, { lines: [line, other] }) => {
        expect((await store.timeline(line.key))?.lease).toMatchObject({ epoch: 2, owner: "taker" });
        expect((await store.timeline(other.key))?.lease).toMatchObject({ epoch: 1, owner: null });
      },
    );
  });

  test("a pack is not emptied under a timeline that has not come to its append yet", async () => {
    await stopEverywhere(
      nothing,
      async (store, { make, lines: [one, two] }) => await store.append(make.batch([one.next(), two.next()])),
      async (store, ground) => {
        const id = await removeFirst(store, ground);
        await store.reclaim([id]);
      },
      async ({ first }) => expectAppended(first),
    );
  });

  test("two that make one timeline make one", async () => {
    const create: Play<string> = async (store, { make }) => {
      const record = make.timelineRecord({ originator: "raced" });
      return (await store.createTimeline(record, make.lease(0, null))).record.key;
    };
    await stopEverywhere(nothing, create, create, async ({ first, second }, store) => {
      expect(first).toBe(second);
      expect(await collect(store.timelines(null))).toHaveLength(3);
    });
  });

  test("a list of all timelines meets a caretaker that is just getting its first entry", async () => {
    await stopEverywhere(
      async (_, { disk }) => disk.makeFolder(new StorePaths(STORE_PATH).caretaker("new")),
      async (store) => (await collect(store.timelines(null))).length,
      async (store, { make }) => await store.saveCaretaker(make.caretaker("new", 1), make.notice("caretaker-saved")),
      async (told) => expect(told).toEqual({ first: 2, second: true }),
    );
  });

  test("two that wrap a key anew: one does, and a whole record is left", async () => {
    const rewrap =
      (ring: string): Play<boolean> =>
      async (store) => {
        const [key] = await store.keys();
        return key !== undefined && (await store.rewrapKey({ ...key, ring, wrapped: `by ${ring}` }, "ring-1"));
      };
    await stopEverywhere(nothing, rewrap("ring-2"), rewrap("ring-3"), async ({ first, second }, store) => {
      expect([first, second].filter(Boolean)).toHaveLength(1);
      const ring = first ? "ring-2" : "ring-3";
      expect(await store.keys()).toMatchObject([{ ring, wrapped: `by ${ring}` }]);
    });
  });

  test("two that remove one memento: it is removed once", async () => {
    const remove: Play<readonly string[]> = async (store, { make }) => {
      const ids = (await collect(store.query(mementoQuery({ removed: true })))).map(({ entry }) => entry.id);
      return await store.remove(ids, make.notice("removed", { mementos: ids }));
    };
    await stopEverywhere(
      async (store, ground) => void (await append(store, ground, 0)),
      remove,
      remove,
      async ({ first, second }, store) => {
        expect([...first, ...second]).toHaveLength(1);
        expect(await collect(store.commits(null))).toHaveLength(2);
      },
    );
  });
});

describe("what was decided by what a dead process has not synced", { timeout: 120_000 }, () => {
  test("a save to a timeline that it was making stays", async () => {
    await losePowerEverywhere(
      nothing,
      async (store, { make }) => await make.timeline(store, { originator: "new" }),
      async (store, { make }) => {
        const record = make.timelineRecord({ originator: "new" });
        const { record: made, lease } = await store.createTimeline(record, make.lease(0, null));
        const line = new TestTimeline(make, made);
        line.epoch = lease.epoch;
        return (await line.save(store)).id;
      },
      async (id, store) => expect((await store.read(id))?.removed).toBe(false),
    );
  });

  test("a removal of what it was saving removes nothing else", async () => {
    await losePowerEverywhere(
      nothing,
      (store, ground) => append(store, ground, 0),
      removeFirst,
      async (removed, store, { lines: [line] }) => {
        await catchUp(store, line);
        const { id } = await line.save(store);
        expect((await store.read(id))?.removed).toBe(false);
        expect(await store.read(removed)).toSatisfy(
          (found) => found === null || (found as { removed: boolean }).removed,
        );
      },
    );
  });

  test("a body whose removal it was writing is there, or is not missed", async () => {
    await losePowerEverywhere(
      async (store, ground) => void (await append(store, ground, 0)),
      removeFirst,
      async (store) => {
        const [row] = await collect(store.query(mementoQuery({ removed: true })));
        await store.reclaim([row?.entry.id ?? ""]);
      },
      async (_, store) => expect(await collect(store.query(mementoQuery({ removed: true })))).toHaveLength(1),
    );
  });

  test("a name that its removal was freeing has one live memento", async () => {
    await losePowerEverywhere(
      async (store, ground) => void (await append(store, ground, 0, { name: "gold" })),
      removeFirst,
      (store, ground) => append(store, ground, 1, { name: "gold" }),
      async ({ id, result }, store) => {
        const live = (await collect(store.query(mementoQuery({ name: "gold" })))).map(({ entry }) => entry.id);
        expect(live.length).toBeLessThan(2);
        if (result?.outcome === "appended") expect(live).toEqual([id]);
        expect(await store.findByName("etl", "gold")).toBe(live[0] ?? null);
      },
    );
  });

  test("a data key that it was writing opens what was sealed under it", async () => {
    const dataKey = new StoreFixture(9).key("data");
    const seal: Play<string> = async (store, { make, lines: [line] }) => {
      await catchUp(store, line);
      const record = line.next();
      await store.append(make.batch([record], { dataKey, suite: "A256GCM" }));
      return record.entry.id;
    };
    await losePowerEverywhere(nothing, seal, seal, async (id, store) => {
      expect((await store.read(id))?.removed).toBe(false);
      expect((await store.keys()).map(({ id: key }) => key)).toContain(dataKey.id);
    });
  });

  test("what was written to a store that it was making stays", async () => {
    const disk = new SimulatedDisk();
    disk.makeFolder("/data");
    disk.syncFolder("/");
    const make = new StoreFixture(1);
    const create = async (store: FileStore): Promise<unknown> => await store.create(make.meta(), make.key("integrity"));
    const whole = disk.copy().process();
    await create(await openStore(whole, 1));
    for (let killAt = 1; killAt <= whole.calls; killAt++) {
      const its = disk.copy();
      await expect(openStore(its.process({ killAt }), 2).then(create)).rejects.toThrow(Killed);
      const store = await openStore(its.process(), 3);
      await create(store);
      const line = await make.timeline(store);
      const { id } = await line.save(store);
      for (let loss = 0; loss < 8; loss++) {
        const left = await openStore(its.afterPowerLoss(new SeededRandom(killAt * 100 + loss)).process(), 4);
        expect((await left.read(id))?.removed, `killed before call ${killAt}`).toBe(false);
        expect(await left.keys()).toHaveLength(1);
      }
    }
  });
});
