import assert from "node:assert/strict";

import { isMementoError } from "../../core/errors.ts";
import { contentOf, type KitSink, idsOf, row, type SinkLoan, type SinkTestGroup } from "./kit.ts";
import { SinkWorker } from "./sink-worker.ts";

const WRITE = { kind: "write", rows: [row("w1"), row("w2"), row("w3")], token: "worker" } as const;

/** Stops a process in the middle of its write, and waits until another timeline is told LOCKED. */
async function stopInside(loan: SinkLoan, other: KitSink): Promise<SinkWorker> {
  const rehearsal = SinkWorker.start(loan, [{ ...WRITE, token: "rehearsal" }]);
  const { steps } = await rehearsal.until("steps");
  await rehearsal.end();
  await (await loan.open()).revertTo(null);
  const worker = SinkWorker.start(loan, [WRITE], Math.ceil(Number(steps) / 2), "SIGSTOP");
  await worker.until("struck");
  await assert.rejects(
    () => other.write([row("x")], "other"),
    (error) => isMementoError(error, "LOCKED") && error.retryable,
  );
  return worker;
}

/** Processes that are stopped with SIGSTOP: they do not end, and may wake up long after others have taken over. */
export const stopTests: readonly SinkTestGroup[] = [
  {
    method: "SIGSTOP",
    appliesTo: ({ workerModule }) => workerModule !== undefined,
    timeoutMs: 180_000,
    tests: {
      "before a write: the woken process is refused once another has taken over": async (loan) => {
        const next = await loan.open();
        const { mark } = await next.write([row("a"), row("b")]);
        const calls = [WRITE, { kind: "revertTo", mark: null, token: "back" }] as const;
        await using worker = SinkWorker.start(loan, calls, 1, "SIGSTOP");
        await worker.until("struck");
        next.epoch = 2;
        await next.sink.fence(2);
        const after = await next.write([row("c")]);
        const content = await contentOf(loan.place);
        worker.signal("SIGCONT");
        assert.equal(await worker.end(), false);
        assert.deepEqual(
          worker.news.flatMap(({ refused }) => refused ?? []),
          ["FENCED", "FENCED"],
        );
        assert.deepEqual(await contentOf(loan.place), content);
        assert.deepEqual(await next.sink.mark(), after.mark);
        assert.notDeepEqual(after.mark, mark);
      },
    },
  },
  {
    method: "SIGSTOP inside a write",
    appliesTo: ({ workerModule, locksOut }) => workerModule !== undefined && locksOut === true,
    timeoutMs: 180_000,
    tests: {
      "keeps others out with LOCKED until it goes on": async (loan) => {
        const other = await loan.open("other");
        await using worker = await stopInside(loan, other);
        worker.signal("SIGCONT");
        assert.equal(await worker.end(), false);
        await other.write([row("x")], "other");
        assert.deepEqual(await idsOf(loan.place), ["w1", "w2", "w3", "x"]);
      },
      "keeps others out with LOCKED until it is killed": async (loan) => {
        const other = await loan.open("other");
        await using worker = await stopInside(loan, other);
        worker.signal("SIGKILL");
        assert.equal(await worker.end(), true);
        await other.write([row("x")], "other");
        assert.deepEqual(await idsOf(loan.place), ["x"]);
      },
    },
  },
];
