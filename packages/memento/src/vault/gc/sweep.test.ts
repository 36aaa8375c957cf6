import { describe, expect, test } from "vitest";

import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { RecordGraph } from "./record-graph.ts";
import { listRoots } from "./root-listing.ts";
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
