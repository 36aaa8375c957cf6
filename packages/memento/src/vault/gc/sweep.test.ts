import { describe, expect, test } from "vitest";

import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { LeaseKeeper } from "../lease-keeper.ts";
import { RecordGraph } from "./record-graph.ts";
import { listRoots, standingMementos } from "./root-listing.ts";
import { planSweep } from "./sweep.ts";

/** Long enough for its pack to be worth sealing anew, and of no use to a compressor. */
const random = new SeededRandom(7);
const large = (): string => Buffer.from(random.bytes(40_000)).toString("base64url");

describe("planSweep()", () => {
  test("leaves alone what was saved after the listing, and frees what was removed before it", async () => {
    await using memento = await Memento.open(await MemoryStore.open());
    const { vault } = memento;
    const caretaker = memento.caretaker("c");
    const removed = await caretaker.save(large());
    await caretaker.save(large(), { full: true });
    await caretaker.delete(removed.id);

    const listing = await listRoots(vault, async () => []);
    const late = await caretaker.save(large(), { full: true });
    const plan = planSweep(await RecordGraph.read(vault), listing);

    expect(plan.free.flatMap(({ ids }) => ids)).toEqual([removed.id]);
    expect(plan.wasteful).toEqual([]);
    expect(listing.roots.has(late.id)).toBe(false);
  });
});

describe("standingMementos()", () => {
  /** A memento at which a rollback to another one stands unfinished. */
  async function unfinished(memento: Memento) {
    const { vault } = memento;
    const caretaker = memento.caretaker("c");
    const target = await caretaker.save(large());
    await caretaker.save(large(), { full: true });
    const append = async (status: "reverting" | "completed") => {
      await using lease = await LeaseKeeper.acquire(vault, target.timeline);
      const pieces = new Map([["restore", { target: target.id, text: large() }]]);
      const draft = { reason: "rollback", generation: 1, full: true } as const;
      return (await (await vault.writer(lease.state)).append({ ...draft, status, pieces })).entry;
    };
    const head = await append("reverting");
    return { caretaker, target, head, append };
  }

  test("are heads, a removed one too, and what unfinished rollbacks go back to", async () => {
    await using memento = await Memento.open(await MemoryStore.open());
    const { caretaker, target, head } = await unfinished(memento);
    expect([...(await standingMementos(memento.vault, null)).keys()]).toEqual([head.id, target.id]);
    await caretaker.delete(head.id);
    expect([...(await standingMementos(memento.vault, null)).keys()]).toEqual([head.id, target.id]);
  });

  test.each([
    ["ends", "completed", false],
    ["is gone on with", "reverting", true],
  ] as const)(
    "are found beside a rollback that %s, and whose head is removed and freed, meanwhile",
    async (_, next, isWanted) => {
      await using memento = await Memento.open(await MemoryStore.open());
      const { caretaker, target, head, append } = await unfinished(memento);
      const { store } = memento.vault;
      const query = store.query.bind(store);
      store.query = async function* (asked) {
        for await (const row of query(asked)) {
          store.query = query;
          await append(next);
          await caretaker.delete(head.id);
          expect(await memento.collect()).toMatchObject({ packs: 1 });
          yield row;
        }
      };
      expect([...(await standingMementos(memento.vault, null)).keys()]).toEqual(
        isWanted ? [head.id, target.id] : [head.id],
      );
    },
  );
});
