// The service that Restate calls, in a process of its own. One handler: that many ctx.run steps, one after the other,
// each journaled by the server before the next starts. Built ahead, like every other worker here.
import { createServer } from "node:http2";

import { createEndpointHandler, service, type Context } from "@restatedev/restate-sdk";

import { outputOf } from "../work.ts";

export interface StepsInput {
  readonly steps: number;
  /** Rows in the output of each step; default none. */
  readonly rows?: number;
  /** Names the invocation, for `stepsRunOf`. */
  readonly id: string;
  /** SIGKILL this process (the server's) inside step N/2, once. */
  readonly killPid?: number;
}

const stepsRun = new Map<string, number>();
const killed = new Set<string>();

async function steps(context: Context, { steps: count, rows, id, killPid }: StepsInput): Promise<number> {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const output = await context.run("step", () => {
      if (killPid !== undefined && i === count / 2 && !killed.has(id)) {
        killed.add(id);
        process.kill(killPid, "SIGKILL");
        stepsRun.set(id, 0);
      }
      stepsRun.set(id, (stepsRun.get(id) ?? 0) + 1);
      return outputOf(i, i, rows);
    });
    sum += output.n;
  }
  return sum;
}

const server = createServer(createEndpointHandler({ services: [service({ name: "bench", handlers: { steps } })] }));
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object" && address !== null) process.send?.({ port: address.port });
});

// The bench asks how many steps an invocation has run since its kill.
process.on("message", (message: { stepsRunOf: string }) => {
  process.send?.({ stepsRun: stepsRun.get(message.stepsRunOf) ?? 0 });
});
process.on("disconnect", () => process.exit(0));
