import process from "node:process";

import { reportStray, runCli } from "./cli.ts";
import { processIo } from "./io.ts";

const io = processIo();
const args = process.argv.slice(2);

// Whoever reads our output may go before its end, as `head` does: there is nobody left to tell.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(process.exitCode ?? 0);
    throw error;
  });
}

process.on("uncaughtException", (error) => process.exit(reportStray(error, args, io)));

process.exitCode = await runCli(args, io);
// A pipeline's own modules may have left something open that would keep the process alive.
await Promise.all(
  [process.stdout, process.stderr].map(
    async (stream) => await new Promise((resolve) => void stream.write("", resolve)),
  ),
);
process.exit();
