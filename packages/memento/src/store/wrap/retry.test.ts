import { describe, expect, test } from "vitest";

import { MementoError, type ErrorCode } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { chaosStore, type NumberedCall } from "../../testing/chaos-store.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { testStore } from "../../testing/store/store-kit.ts";
import { MemoryStore } from "../memory/store.ts";
import type { MementoStore } from "../store.ts";
import { retryStore } from "./retry.ts";

/** A clock on which pauses take no time, and are written down. */
function hastyClock(pauses: number[] = []): Clock {
  return Object.assign(new ManualClock(), {
    sleep: async (ms: number): Promise<void> => {
      pauses.push(ms);
    },
  });
}

const fail = (code: ErrorCode): never => {
  throw new MementoError(code, "made to fail");
};

/** Methods whose answer must not be lost in these tests: they are not repeated, and throw. */
const ONCE = new Set<string>(["remove", "note", "reclaim", "removeCaretaker", "dropKey", "rebuildIndex", "close"]);
/** Far enough apart that an iterable gets to where it was, and a call that was repeated can be looked into. */
const isUnlucky = ({ number }: NumberedCall): boolean => number % 11 === 2;
const { supports } = await MemoryStore.open();

function testRetry(around: (store: MementoStore) => MementoStore): void {
  const open = async () => retryStore(around(await MemoryStore.open()), { clock: hastyClock() });
  testStore({ test, describe, supports, place: async () => ({ open, address: "", dispose: async () => undefined }) });
}

describe("retryStore() around a store of which many calls are refused by a lock", () => {
  testRetry((store) =>
    chaosStore(store, {
      before: (call) => {
        if (isUnlucky(call) && call.method !== "close") fail("LOCKED");
      },
    }),
  );
});

describe("retryStore() around a store of which many answers are lost", () => {
  testRetry((store) =>
    chaosStore(store, {
      after: (call) => {
        if (isUnlucky(call) && !ONCE.has(call.method)) fail("IO_FAILED");
      },
    }),
  );
});

describe("retryStore()", () => {
  async function withFailing(
    run: (store: MementoStore, make: StoreFixture, pauses: number[], inner: MementoStore) => Promise<void>,
    failing: {
      readonly code: ErrorCode;
      readonly method: string;
      readonly phase: "before" | "after";
      readonly times: number;
    },
  ): Promise<void> {
    const inner = await MemoryStore.open();
    const make = new StoreFixture(1);
    await inner.create(make.meta(), make.key("integrity"));
    let left = failing.times;
    const hook = ({ method }: NumberedCall): void => {
      if (method !== failing.method || left === 0) return;
      left -= 1;
      fail(failing.code);
    };
    const pauses: number[] = [];
    const options = { clock: hastyClock(pauses), attemptsMax: 4, firstPauseMs: 10, pauseMsMax: 25 };
    await run(retryStore(chaosStore(inner, { [failing.phase]: hook }), options), make, pauses, inner);
  }

  test("repeats with growing pauses, up to a bound", async () => {
    const failing = { code: "LOCKED", method: "note", phase: "before", times: 3 } as const;
    await withFailing(async (store, make, pauses) => {
      await store.note(make.notice("restored"));
      expect(pauses).toEqual([10, 20, 25]);
      expect((await collect(store.commits(null))).length).toBe(1);
    }, failing);
    await withFailing(
      async (store, make, pauses) => {
        await expectCode("LOCKED", () => store.note(make.notice("restored")));
        expect(pauses).toEqual([10, 20, 25]);
      },
      { ...failing, times: 4 },
    );
  });

  test("passes on at once what no repetition mends", async () => {
    await withFailing(
      async (store, make, pauses) => {
        await expectCode("DAMAGED", () => store.note(make.notice("restored")));
        expect(pauses).toEqual([]);
      },
      { code: "DAMAGED", method: "note", phase: "before", times: 1 },
    );
  });

  test("counts an append whose answer was lost as done, and a real conflict as a conflict", async () => {
    const failing = { code: "IO_FAILED", method: "append", phase: "after", times: 1 } as const;
    await withFailing(async (store, make, _, inner) => {
      const [mine, taken] = [await make.timeline(inner), await make.timeline(inner)];
      const stale = taken.record();
      await taken.save(inner);
      const results = await store.append(make.batch([mine.next(), stale]));
      expect(results.map(({ outcome }) => outcome)).toEqual(["appended", "conflict"]);
      expect((await inner.timeline(mine.key))?.head?.sequence).toBe(1);
    }, failing);
  });

  test("does not repeat a removal whose answer was lost", async () => {
    await withFailing(
      async (store, make, pauses, inner) => {
        const { id } = await (await make.timeline(inner)).save(inner);
        await expectCode("IO_FAILED", () => store.remove([id], make.notice("removed", { mementos: [id] })));
        expect(pauses).toEqual([]);
        expect((await inner.read(id))?.removed).toBe(true);
      },
      { code: "IO_FAILED", method: "remove", phase: "after", times: 1 },
    );
  });
});
