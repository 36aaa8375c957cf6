import { describe, expect, onTestFinished, test } from "vitest";

import { MementoError } from "../../core/errors.ts";
import { systemClock } from "../../core/ports.ts";
import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import type { MementoStore } from "../../store/store.ts";
import { chaosStore } from "../../testing/chaos-store.ts";
import type { CopyReport } from "./copy-report.ts";

const keysOf = (byte: number) => ({ raw: [new Uint8Array(32).fill(byte)] });

async function open(byte: number, store?: MementoStore): Promise<Memento> {
  const memento = await Memento.open(store ?? (await MemoryStore.open()), { keys: keysOf(byte) });
  onTestFinished(async () => await memento.close());
  return memento;
}

describe("syncTo()", () => {
  test("brings what is new and the settings as they are now; removals only where that was asked for", async () => {
    const [source, target] = [await open(1), await open(2)];
    const etl = source.caretaker("etl");
    const first = await etl.save({ one: 1 }, { id: "one" });
    await etl.setPolicy({ maxCount: 5 });
    expect(await source.syncTo(target)).toMatchObject({ copied: 1, verified: { identical: true, whole: true } });
    await etl.save({ two: 2 });
    await etl.delete(first.id);
    await etl.setPolicy({ maxCount: 6 });
    const kept = await source.syncTo(target);
    expect(kept).toMatchObject({ copied: 1, deleted: 0, onlyInTarget: 1, verified: { identical: true } });
    expect(await target.caretaker("etl").policy()).toEqual({ maxCount: 6 });
    expect(await target.caretaker("etl").load("one")).toEqual({ one: 1 });
    const mirrored = await source.syncTo(target, { delete: true });
    expect(mirrored).toMatchObject({ copied: 0, deleted: 1, onlyInTarget: 0, verified: { identical: true } });
    expect((await target.digest()).digest).toBe((await source.digest()).digest);
    await expect(target.caretaker("etl").load("one")).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("follows the log: nothing is missed of what comes while a round is under way, and idle rounds do nothing", async () => {
    const [source, store] = [await open(1), await MemoryStore.open()];
    const etl = source.caretaker("etl");
    let during = 0;
    // Something is saved in the source in the middle of each of the first rounds.
    const busy = chaosStore(store, {
      after: async ({ method }) => {
        if (method === "append" && during < 3) {
          during += 1;
          await etl.save({ during }, { originator: `new ${during}` });
        }
      },
    });
    const target = await open(2, busy);
    await etl.save({ start: true });
    const stop = new AbortController();
    const rounds: CopyReport[] = [];
    let looks = 0;
    const clock = {
      ...systemClock,
      sleep: async (_ms: number, signal?: AbortSignal) => {
        looks += 1;
        if (looks === 8) await etl.save({ late: true }, { originator: "late" });
        if (looks === 12) stop.abort(new MementoError("CANCELLED", "enough"));
        signal?.throwIfAborted();
        await Promise.resolve();
      },
    };
    const watched = await Memento.open(source.vault.store, { keys: keysOf(1), clock });
    const following = watched.syncTo(target, {
      watch: true,
      signal: stop.signal,
      onRound: (round) => rounds.push(round),
    });
    await expect(following).rejects.toMatchObject({ code: "CANCELLED" });
    expect(rounds.map(({ copied }) => copied)).toEqual([1, 1, 1, 1, 1]);
    expect(rounds.every(({ verified }) => verified?.identical === true)).toBe(true);
    expect((await target.digest()).digest).toBe((await source.digest()).digest);
  });

  test("a round that fails for now is told and repeated from the same place in the log", async () => {
    const [source, store] = [await open(1), await MemoryStore.open()];
    const etl = source.caretaker("etl");
    await etl.save({ start: true });
    let isDown = false;
    const flaky = chaosStore(store, {
      before: () => {
        if (isDown) throw new MementoError("STORE_UNREACHABLE", "The server is away");
      },
    });
    const target = await open(2, flaky);
    const stop = new AbortController();
    const failures: unknown[] = [];
    let looks = 0;
    const clock = {
      ...systemClock,
      sleep: async (_ms: number, signal?: AbortSignal) => {
        looks += 1;
        if (looks === 2) await etl.save({ while: "down" });
        isDown = looks >= 2 && looks < 5;
        if (looks === 7) stop.abort(new MementoError("CANCELLED", "enough"));
        signal?.throwIfAborted();
        await Promise.resolve();
      },
    };
    const watched = await Memento.open(source.vault.store, { keys: keysOf(1), clock });
    const options = { watch: true, signal: stop.signal, onFailedRound: (error: unknown) => failures.push(error) };
    await expect(watched.syncTo(target, options)).rejects.toMatchObject({ code: "CANCELLED" });
    expect(failures).toHaveLength(3);
    expect((await target.digest()).digest).toBe((await source.digest()).digest);
  });
});
