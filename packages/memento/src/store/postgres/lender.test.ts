import { Pool, type PoolClient } from "pg";
import { afterAll, afterEach, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { probePostgres, startPostgres } from "../../../../../test/harness/servers/postgres.ts";
import { systemClock, type Clock } from "../../core/ports.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { AT_HAND_MS, ConnectionLender } from "./lender.ts";

const isThere = await requireEngine("PostgreSQL", probePostgres);
const server = isThere ? await startPostgres() : null;
const open: { close: () => Promise<void> }[] = [];

afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});
afterAll(async () => await server?.stop());

function lend(max: number, owned = true, clock: Clock = systemClock): { pool: Pool; lender: ConnectionLender } {
  const pool = new Pool({ connectionString: server?.url("lender") ?? "", max });
  pool.on("error", () => undefined);
  const lender = new ConnectionLender(pool, owned, clock);
  open.push({ close: async () => await (owned ? lender.close() : pool.end()) });
  return { pool, lender };
}

const processOf = async (client: PoolClient): Promise<number> =>
  (await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows[0]?.pid ?? 0;

describe.skipIf(!isThere)("ConnectionLender", () => {
  test("lends the connection that came back last, and the pool's others beside it", async () => {
    const { pool, lender } = lend(2);
    const first = await lender.borrow();
    lender.giveBack(first, false);
    const again = await lender.borrow();
    const other = await lender.borrow();
    expect(again).toBe(first);
    expect(other).not.toBe(first);
    lender.giveBack(again, false);
    lender.giveBack(other, false);
    expect([pool.totalCount, pool.idleCount]).toEqual([2, 1]);
  });

  test("hands a connection on to whoever waits for one", async () => {
    const { lender } = lend(1);
    const first = await lender.borrow();
    const waiting = lender.borrow();
    lender.giveBack(first, false);
    expect(await waiting).toBe(first);
    lender.giveBack(first, false);
  });

  test("lends no connection that ended at hand", async () => {
    const { pool, lender } = lend(2);
    const first = await lender.borrow();
    const pid = await processOf(first);
    const ended = new Promise((resolve) => first.once("end", resolve));
    lender.giveBack(first, false);
    await pool.query("SELECT pg_terminate_backend($1)", [pid]);
    await ended;
    const next = await lender.borrow();
    expect(await processOf(next)).not.toBe(pid);
    lender.giveBack(next, false);
  });

  test("lends no connection that ended before it came back", async () => {
    const { pool, lender } = lend(2);
    const first = await lender.borrow();
    const pid = await processOf(first);
    // What ends a connection may lie right behind an answer, so that its borrower has not heard of it yet.
    const ended = new Promise((resolve) => first.once("end", resolve));
    await pool.query("SELECT pg_terminate_backend($1)", [pid]);
    await ended;
    lender.giveBack(first, false);
    const next = await lender.borrow();
    expect(await processOf(next)).not.toBe(pid);
    lender.giveBack(next, false);
  });

  test("gives the pool what nobody asks for any more", async () => {
    const clock = new ManualClock(0);
    const { pool, lender } = lend(2, true, clock);
    lender.giveBack(await lender.borrow(), false);
    await clock.tick(AT_HAND_MS);
    expect(pool.idleCount).toBe(0);
    await clock.tick(AT_HAND_MS);
    expect(pool.idleCount).toBe(1);
    lender.giveBack(await lender.borrow(), false);
    expect(pool.idleCount).toBe(0);
  });

  test("keeps nothing of a pool that others use too, and leaves it open", async () => {
    const { pool, lender } = lend(1, false);
    lender.giveBack(await lender.borrow(), false);
    expect(pool.idleCount).toBe(1);
    await lender.close();
    expect((await pool.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  });

  test("ends an owned pool with a connection at hand", async () => {
    const { pool, lender } = lend(2);
    lender.giveBack(await lender.borrow(), false);
    open.length = 0;
    await lender.close();
    expect([pool.ended, pool.totalCount]).toEqual([true, 0]);
  });
});
