import { expect, test } from "vitest";

import { bench, load, rowsOf, upTo, type Row } from "../../../../../test/harness/number-runs.ts";
import { LeaseKeeper } from "../../vault/lease-keeper.ts";
import { memorySink } from "../sinks/index.ts";
import { PIECE, readSnapshot } from "./run-state.ts";

test("a run whose progress an earlier release has kept goes on with its counts, and keeps them as it is done now", async () => {
  const undisturbed = await bench();
  const whole = await undisturbed.memento.run(load(() => memorySink<Row>({ table: undisturbed.data })));
  const { memento, data } = await bench();
  const stop = new AbortController();
  const before = (n: number): void => {
    if (n === 35) stop.abort();
  };
  const pipeline = load(() => memorySink<Row>({ table: data }), { before });
  const stopped = await memento.run(pipeline, { signal: stop.signal });
  // What the earlier release would have written at this point.
  const { vault } = memento;
  const head = await vault.load(stopped.head);
  const progress = await head.value(`${PIECE.underWay}extract`);
  expect(progress).toMatchObject({ stage: "extract", records: 40 });
  await using lease = await LeaseKeeper.acquire(vault, stopped.timeline);
  const writer = await vault.writer(lease.state);
  const { entry } = await writer.append({
    reason: "interrupt",
    status: "interrupted",
    generation: 0,
    run: stopped.run,
    pieces: new Map([[PIECE.progress, progress]]),
    drop: [`${PIECE.underWay}extract`],
  });
  await lease.release();
  const snapshot = await readSnapshot(await vault.load(entry.id));
  expect(snapshot.progress).toMatchObject({ stage: "extract", records: 40 });
  const result = await memento.run(load(() => memorySink<Row>({ table: data })));
  expect(result).toMatchObject({ status: "completed", resumed: true });
  expect(rowsOf(data)).toEqual(upTo(95));
  expect(await result.output("write")).toEqual(await whole.output("write"));
  const last = await vault.load(result.head);
  expect(last.keys("progress")).toEqual([]);
});
