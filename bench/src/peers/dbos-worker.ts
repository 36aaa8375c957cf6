// DBOS Transact in a process of its own, built ahead like our own worker so that neither pays for compiling TypeScript.
//   serve URL          answers { workflowIds, steps, rows } with { ms, results }: the time from starting the workflows, all at
//                      once, to the last result
//   start URL ID N     runs a workflow and kills itself with SIGKILL inside step N/2, when N/2 steps are recorded
//   recover URL ID N   what an operator's restart does: launch, which recovers by itself; prints "done RESULT STEPS_RUN"
import { DBOS } from "@dbos-inc/dbos-sdk";

import { outputOf } from "../work.ts";

/** What the serving worker is asked to do. */
export interface ServeTask {
  readonly workflowIds: readonly string[];
  readonly steps: number;
  readonly rows: number;
}

const [mode, systemDatabaseUrl, workflowId, count] = process.argv.slice(2);
if (mode === undefined || systemDatabaseUrl === undefined) throw new Error("usage: dbos-worker MODE URL [ID N]");
// Everything else is DBOS's default: pool size, polling, recovery on launch.
DBOS.setConfig({ name: "memento-bench", systemDatabaseUrl, logLevel: "error" });

let stepsRun = 0;
let killAtStep = -1;
const sequence = DBOS.registerWorkflow(
  async (steps: number, rows: number): Promise<number> => {
    let sum = 0;
    for (let i = 0; i < steps; i++) {
      const output = await DBOS.runStep(
        async () => {
          if (i === killAtStep) process.kill(process.pid, "SIGKILL");
          stepsRun++;
          return outputOf(i, i, rows);
        },
        { name: "step" },
      );
      sum += output.n;
    }
    return sum;
  },
  { name: "sequence" },
);

await DBOS.launch();
if (mode === "serve") {
  process.on("message", (message: ServeTask) => {
    void serve(message);
  });
  process.on("disconnect", () => process.exit(0));
  process.send?.("ready");
} else {
  await runOnce();
}

async function serve({ workflowIds, steps, rows }: ServeTask): Promise<void> {
  const start = performance.now();
  // The workflows run in this process, so this awaits their promises and does not poll.
  const results = await Promise.all(
    workflowIds.map(async (workflowID) =>
      (await DBOS.startWorkflow(sequence, { workflowID })(steps, rows)).getResult(),
    ),
  );
  process.send?.({ ms: performance.now() - start, results });
}

async function runOnce(): Promise<void> {
  const steps = Number(count);
  const workflowID = String(workflowId);
  if (mode === "start") {
    killAtStep = steps / 2;
    await (await DBOS.startWorkflow(sequence, { workflowID })(steps, 0)).getResult();
    throw new Error("the workflow ended although it should have been killed");
  }
  // The default polls once a second; 5 ms is to DBOS's advantage.
  const result = await DBOS.retrieveWorkflow<number>(workflowID).getResult({ pollingIntervalMs: 5 });
  process.stdout.write(`done ${result} ${stepsRun}\n`, () => process.exit(0));
}
