// DBOS Transact in a process of its own, built ahead like our own worker so that neither pays for compiling TypeScript.
//   serve URL          answers { workflowId, steps } with { ms, result }: the time from starting the workflow to its result
//   start URL ID N     runs a workflow and kills itself with SIGKILL inside step N/2, when N/2 steps are recorded
//   recover URL ID N   what an operator's restart does: launch, which recovers by itself; prints "done RESULT STEPS_RUN"
import { DBOS } from "@dbos-inc/dbos-sdk";

const [mode, systemDatabaseUrl, workflowId, count] = process.argv.slice(2);
if (mode === undefined || systemDatabaseUrl === undefined) throw new Error("usage: dbos-worker MODE URL [ID N]");
// Everything else is DBOS's default: pool size, polling, recovery on launch.
DBOS.setConfig({ name: "memento-bench", systemDatabaseUrl, logLevel: "error" });

let stepsRun = 0;
let killAtStep = -1;
const sequence = DBOS.registerWorkflow(
  async (steps: number): Promise<number> => {
    let sum = 0;
    for (let i = 0; i < steps; i++) {
      const output = await DBOS.runStep(
        async () => {
          if (i === killAtStep) process.kill(process.pid, "SIGKILL");
          stepsRun++;
          return { ok: true, n: i };
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
  process.on("message", (message: { workflowId: string; steps: number }) => {
    void serve(message);
  });
  process.on("disconnect", () => process.exit(0));
  process.send?.("ready");
} else {
  await runOnce();
}

async function serve({ workflowId: workflowID, steps }: { workflowId: string; steps: number }): Promise<void> {
  const start = performance.now();
  const handle = await DBOS.startWorkflow(sequence, { workflowID })(steps);
  // The workflow runs in this process, so this awaits its promise and does not poll.
  const result = await handle.getResult();
  process.send?.({ ms: performance.now() - start, result });
}

async function runOnce(): Promise<void> {
  const steps = Number(count);
  const workflowID = String(workflowId);
  if (mode === "start") {
    killAtStep = steps / 2;
    await (await DBOS.startWorkflow(sequence, { workflowID })(steps)).getResult();
    throw new Error("the workflow ended although it should have been killed");
  }
  // The default polls once a second; 5 ms is to DBOS's advantage.
  const result = await DBOS.retrieveWorkflow<number>(workflowID).getResult({ pollingIntervalMs: 5 });
  process.stdout.write(`done ${result} ${stepsRun}\n`, () => process.exit(0));
}
