import { describe, expect, test, vi } from "vitest";

import { expectSame } from "../../../../../../test/harness/replica-content.ts";
import { replicaPair, within } from "../../../../../../test/harness/replica-pair.ts";
import { MementoError } from "../../../core/errors.ts";

describe("replicateStore(), where a replica may lag", () => {
  test("acknowledges without a failing replica, tells once, and brings it up to date when it is back", async () => {
    const problems: string[] = [];
    const onProblem = ({ code }: MementoError): void => void problems.push(code);
    const { primary, inner, replica, store, make, clock } = await replicaPair({
      onReplicaFailure: "lag",
      onProblem,
      pollMs: 100,
    });
    const timeline = await make.timeline(store);
    const first = await timeline.save(store);
    replica.fails = "STORE_UNREACHABLE";
    for (let saves = 0; saves < 4; saves++) await timeline.save(store);
    await store.retireKey("nobody's");
    const other = await make.timeline(store, { caretaker: "lab" });
    await store.remove([first.id], make.notice("removed", { mementos: [first.id] }));
    await store.reclaim([first.id]);
    expect(problems).toEqual(["STORE_UNREACHABLE"]);
    expect((await store.lag())[0]).toMatchObject({ state: "failing", commits: 5, problem: "made to fail" });
    expect(replica.calls).toBeLessThan(60);
    replica.fails = null;
    await clock.tick(100);
    await store.catchUp();
    await expectSame(primary, inner);
    expect((await inner.read(first.id))?.body).toBe(null);
    expect((await inner.timeline(other.key))?.lease.epoch).toBe(1);
    expect((await store.lag())[0]).toMatchObject({ state: "following", commits: 0, ms: 0 });
  });

  test("what was missed is made up for, whatever else came through at the same time", async () => {
    const { primary, inner, store, make, clock } = await replicaPair({ onReplicaFailure: "lag", pollMs: 100 });
    const timeline = await make.timeline(store);
    const [key] = await primary.keys();
    const rewrap = inner.rewrapKey.bind(inner);
    const failing = vi.spyOn(inner, "rewrapKey").mockRejectedValueOnce(new MementoError("IO_FAILED", "made to fail"));
    const wrapping = { ...make.key("integrity"), ...key, ring: "ring-2" };
    await Promise.all([store.rewrapKey(wrapping, "ring-1"), timeline.save(store)]);
    expect(failing).toHaveBeenCalledTimes(1);
    failing.mockImplementation(rewrap);
    await within(clock, 1_000, async () => expect(await inner.keys()).toMatchObject([{ ring: "ring-2" }]));
    await expectSame(primary, inner);
  });

  test("what comes while it is looked through is not taken for seen", async () => {
    const { primary, inner, replica, store, make, clock } = await replicaPair({ onReplicaFailure: "lag", pollMs: 100 });
    const timeline = await make.timeline(store);
    replica.fails = "STORE_UNREACHABLE";
    await timeline.save(store);
    replica.fails = null;
    const [key] = await primary.keys();
    const commits = inner.append.bind(inner);
    vi.spyOn(inner, "append").mockImplementationOnce(async (batch) => {
      // The survey has looked at the keys by now, and brings the commits.
      expect(await store.rewrapKey({ ...make.key("integrity"), ...key, ring: "ring-2" }, "ring-1")).toBe(true);
      return await commits(batch);
    });
    await within(clock, 1_000, async () => expect(await inner.keys()).toMatchObject([{ ring: "ring-2" }]));
    await expectSame(primary, inner);
  });

  test("a timeline whose making was missed is made with its first epoch", async () => {
    const { primary, inner, store, make } = await replicaPair();
    await (await make.timeline(store)).save(store);
    const record = make.timelineRecord();
    await primary.createTimeline(record, make.lease(0, null));
    expect(await store.acquireLease({ timeline: record.key, lease: make.lease(1) })).toBe(true);
    await store.catchUp();
    await expectSame(primary, inner);
  });
});
