import process from "node:process";

import { isMementoError, Memento } from "@mementojs/memento";
import { systemClock } from "@mementojs/memento/core";
import { mementoQuery, openStore, retryStore, type MementoStore } from "@mementojs/memento/store";
import { collect, SeededRandom, StoreFixture } from "@mementojs/memento/testing";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";

import { requireEngine } from "../harness/engines.ts";
import { startProxy, type TcpProxy } from "../harness/servers/tcp-proxy.ts";
import { NETWORKED_ENGINES, type RunningEngine } from "./engines.ts";
import { ReplyCutter } from "./reply-cutter.ts";

/** Replies that are lost on each engine, by all ways of saving together: half of them in appends, a quarter in each of the others. 1,000 in the long run. */
const LOST = Number(process.env["MEMENTO_LOST_REPLIES"] ?? "100");
const SEED = 20_261_121;
/** Saves from which is learned how many replies there are. */
const UNDISTURBED = 4;
const patient = { clock: systemClock, firstPauseMs: 5, attemptsMax: 8 } as const;
const keys = { raw: [new Uint8Array(32).fill(7)] };

/** Chooses which reply of a save is lost: mostly the last one, which says that it was done. */
class Choice {
  readonly #random: SeededRandom;
  #most = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  /** Saves have this many replies when nobody disturbs them. */
  learn(replies: number): void {
    this.#most = Math.max(this.#most, replies);
  }

  next(): number {
    return this.#random.integer(2) === 0 ? Math.max(1, this.#most) : 1 + this.#random.integer(Math.max(1, this.#most));
  }
}

for (const engine of NETWORKED_ENGINES) {
  const isThere = await requireEngine(engine.name, engine.probe);
  describe.skipIf(!isThere)(`${engine.name}: replies that are lost after the work was done`, () => {
    let running: RunningEngine;
    let proxy: TcpProxy;
    let cutter: ReplyCutter;

    beforeAll(async () => {
      running = await engine.start();
      for (const [name, value] of Object.entries(running.environment)) vi.stubEnv(name, value);
      proxy = await startProxy(running.server.port);
      cutter = new ReplyCutter(proxy);
    });
    afterAll(async () => {
      await proxy?.[Symbol.asyncDispose]();
      await running?.[Symbol.asyncDispose]();
      vi.unstubAllEnvs();
    });

    /** Cuts one reply in each save until enough are lost; the number of saves. */
    async function untilEnough(enough: number, save: (number: number) => Promise<void>): Promise<number> {
      const choice = new Choice(SEED);
      let [lost, saves] = [0, 0];
      for (; lost < enough; saves++) {
        expect(saves, "far more saves than replies lost").toBeLessThan(4 * enough + 50);
        const isUndisturbed = saves < UNDISTURBED;
        cutter.arm(isUndisturbed ? Number.POSITIVE_INFINITY : choice.next());
        await save(saves);
        const { cut, replies } = cutter.disarm();
        // The first save makes what the later ones find.
        if (isUndisturbed && saves > 0) choice.learn(replies);
        if (cut) lost += 1;
      }
      return saves;
    }

    test("appends through retryStore() are each there once, and each is reported as done", async () => {
      const url = await running.place();
      await using behindProxy = (await openStore(url(proxy.port))).store;
      const make = new StoreFixture(SEED);
      await behindProxy.create(make.meta(), make.key("integrity"));
      const timeline = await make.timeline(behindProxy);
      // The reply is lost in the append alone: what retryStore asks afterwards is answered.
      const store = retryStore(behindProxy, patient);
      const ids: string[] = [];
      const saves = await untilEnough(LOST / 2, async () => {
        ids.push((await timeline.save(store)).id);
      });
      expect(new Set(ids).size).toBe(saves);
      await using direct = (await openStore(url())).store;
      expect((await direct.timeline(timeline.key))?.head).toMatchObject({ id: ids.at(-1), sequence: saves });
      const rows = await collect(direct.query(mementoQuery({ order: "ascending", sort: "log" })));
      expect(rows.map(({ entry }) => entry.id)).toEqual(ids);
      expect((await collect(direct.commits(null))).length).toBe(saves);
      expect(await collect(direct.check())).toEqual([]);
    });

    test.each([
      { through: "the bare driver", wrap: (store: MementoStore) => store, mayFail: true },
      {
        through: "retryStore()",
        wrap: (store: MementoStore) => retryStore(store, patient),
        mayFail: false,
      },
    ])(
      "caretaker().save() through $through: nothing is doubled, and what failed is found by the next call",
      async ({ wrap, mayFail }) => {
        const url = await running.place();
        await using memento = await Memento.open(wrap((await openStore(url(proxy.port))).store), { keys });
        const caretaker = memento.caretaker("etl");
        let [failed, happened] = [0, 0];
        const saves = await untilEnough(LOST / 4, async (number) => {
          const id = `save-${number}`;
          try {
            await caretaker.save({ number }, { id });
            return;
          } catch (error) {
            if (!isMementoError(error) || !error.retryable || !mayFail) throw error;
          }
          failed += 1;
          cutter.disarm();
          const before = await headOf(memento);
          await caretaker.save({ number }, { id });
          if ((await headOf(memento)) === before) happened += 1;
        });
        await using direct = await Memento.open(url(), { keys, create: false });
        const infos = await Array.fromAsync(direct.caretaker("etl").list({ order: "ascending" }));
        expect(infos.map(({ name }) => name)).toEqual(Array.from({ length: saves }, (_, number) => `save-${number}`));
        expect(await headOf(direct)).toBe(saves);
        expect(await direct.caretaker("etl").load(`save-${saves - 1}`)).toEqual({ number: saves - 1 });
        expect(await direct.verify()).toMatchObject({ sound: true });
        console.info(`${engine.name}: ${saves} saves, ${failed} reported as failed, ${happened} of them had happened`);
      },
    );
  });
}

/** The sequence number of the newest memento of the only timeline. */
async function headOf(memento: Memento): Promise<number> {
  const [timeline] = await Array.fromAsync(memento.timelines("etl"));
  return timeline?.head?.sequence ?? 0;
}
