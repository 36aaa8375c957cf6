import assert from "node:assert/strict";

import type { SinkMark } from "../../orchestrator/sinks/sink.ts";
import { SeededRandom } from "../seeded-random.ts";
import { churnStates } from "./churn.ts";
import { contentOf, idsOf, type KitRow, row, type SinkLoan, type SinkPlace, type SinkTestGroup } from "./kit.ts";
import { SinkWorker } from "./sink-worker.ts";
import type { WorkerCall } from "./worker.ts";

/** No call takes so many steps: it would be one that grows with the history. */
const STEPS_MAX = 200;

/** A call that ends at each of its steps in turn. */
interface KilledCall {
  readonly call: (at: number) => WorkerCall;
  /** What is there before the call, and after it. */
  readonly before: readonly KitRow[];
  readonly after: readonly KitRow[];
  /** Repeats the call with its token; returns whether the sink said that it was done already, where it says so. */
  readonly repeat: (at: number) => Promise<boolean | null>;
  /** Makes it again what it was before the call. */
  readonly undo: () => Promise<unknown>;
}

async function rowsOf(place: SinkPlace): Promise<KitRow[]> {
  return Object.values(await contentOf(place)).toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

/** Kills a process at step 1, 2 and so on of the call, until it gets through; the call is then repeated by the test. */
async function killAtEveryStep(loan: SinkLoan, { call, before, after, repeat, undo }: KilledCall): Promise<void> {
  const outcomes = { before: 0, after: 0 };
  for (let at = 1; ; at++) {
    assert.ok(at < STEPS_MAX, `a call of more than ${STEPS_MAX} steps`);
    await using worker = SinkWorker.start(loan, [call(at)], at);
    const wasKilled = await worker.end();
    const found = await rowsOf(loan.place);
    const isDone = JSON.stringify(found) === JSON.stringify(after);
    // What somebody else takes back one by one may be half done here; the repeated call must finish it.
    const isWhole = loan.options.compensates !== true;
    if (isWhole) assert.deepEqual(found, isDone ? after : before, `killed at step ${at}`);
    const knewIt = await repeat(at);
    const isRight = !isWhole || knewIt === null || knewIt === isDone;
    assert.ok(isRight, `step ${at}: the repeated call knew ${String(knewIt)}`);
    assert.deepEqual(await rowsOf(loan.place), after, `repeated after a kill at step ${at}`);
    await undo();
    assert.deepEqual(await rowsOf(loan.place), before, `undone after a kill at step ${at}`);
    if (!wasKilled) {
      assert.ok(isDone);
      break;
    }
    outcomes[isDone ? "after" : "before"] += 1;
  }
  // Some kills must have come before the data was safe, and some after: else no step was inside the call.
  const least = loan.options.compensates === true ? 1 : 2;
  assert.ok(outcomes.before > least && outcomes.after > 0, JSON.stringify(outcomes));
}

/** Nothing is there twice, and nothing that neither state has; what both have is there. */
function assertBetween(found: readonly string[], before: readonly string[], after: readonly string[]): void {
  assert.equal(new Set(found).size, found.length);
  const [known, there, then] = [new Set([...before, ...after]), new Set(found), new Set(after)];
  assert.deepEqual(
    found.filter((id) => !known.has(id)),
    [],
  );
  assert.deepEqual(
    before.filter((id) => then.has(id) && !there.has(id)),
    [],
  );
}

/** Processes that are killed with SIGKILL. */
export const killTests: readonly SinkTestGroup[] = [
  {
    method: "kill -9",
    appliesTo: ({ workerModule }) => workerModule !== undefined,
    timeoutMs: 600_000,
    tests: {
      "at every step of a write leaves what was before or what is after": async (loan) => {
        const one = await loan.open();
        const { mark } = await one.write([row("a", 1), row("b", 1)]);
        const before = await rowsOf(loan.place);
        const rows = [row("a", 2), row("c", 2), row("d", 2)];
        await one.write(rows);
        const after = await rowsOf(loan.place);
        await one.revertTo(mark);
        await killAtEveryStep(loan, {
          call: (at) => ({ kind: "write", rows, token: `killed:${at}` }),
          before,
          after,
          repeat: async (at) => (await one.write(rows, `killed:${at}`)).duplicate,
          undo: async () => await one.revertTo(mark),
        });
      },
      "at every step of revertTo leaves what was before or what is after": async (loan) => {
        const one = await loan.open();
        await one.write([row("a", 1), row("b", 1), row("gone", 1)]);
        const early = await one.write([row("b", 2)]);
        const after = await rowsOf(loan.place);
        const back = await one.revertTo(null);
        await one.revertTo(early.mark);
        await one.revertTo(back.mark);
        await one.write([row("a", 3), row("c", 3)]);
        const late = await one.write([row("a", 4), row("d", 4)]);
        const before = await rowsOf(loan.place);
        await killAtEveryStep(loan, {
          call: (at) => ({ kind: "revertTo", mark: early.mark, token: `killed:${at}` }),
          before,
          after,
          repeat: async (at) => {
            await one.revertTo(early.mark, { token: `killed:${at}` });
            return null;
          },
          undo: async () => await one.revertTo(late.mark),
        });
      },
      "at random moments of many writes and reverts leaves one of them whole": async (loan) => {
        const { place, options } = loan;
        const random = new SeededRandom(options.seed ?? 1);
        const marks: SinkMark[] = [];
        const { kills = 5, killAfterMsMax = 100 } = options;
        // On a busy machine a worker may have done nothing yet when it dies: then more are killed, after a first action.
        for (let kill = 0; kill < kills || (marks.length <= 2 && kill < 2 * kills); kill++) {
          await using worker = SinkWorker.start(loan, [{ kind: "churn", marks }]);
          await worker.until(kill < kills ? "ready" : "acted");
          await new Promise((resolve) => void setTimeout(resolve, 20 + random.integer(killAfterMsMax - 20)));
          worker.signal("SIGKILL");
          await worker.end();
          for (const { acted, mark } of worker.news) if (acted !== undefined) marks.push(mark as SinkMark);
          if (options.compensates === true) await (await loan.open()).write([]);
          const states = churnStates(marks.length + 1).map((ids) => ids.toSorted());
          const found = await idsOf(place);
          const acted = marks.length === 0 ? [] : states[marks.length - 1];
          // The last call may have been done without its answer being heard; one of many calls, in part.
          if (options.compensates === true) assertBetween(found, acted ?? [], states[marks.length] ?? []);
          else assert.deepEqual(found, found.length === acted?.length ? acted : states[marks.length]);
        }
        assert.ok(marks.length > 2, "the workers got something done between the kills");
      },
    },
  },
];
