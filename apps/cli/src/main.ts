import process from "node:process";

import { reportStray, runCli } from "./cli.ts";
import { EXIT_UNREAD } from "./exit-code.ts";
import { processIo, unwritableOutput } from "./io.ts";

const io = processIo();
// Taken before a command may keep the streams from others.
const flushes = [process.stdout, process.stderr].map((stream) => {
  const write = stream.write.bind(stream);
  return async () => await new Promise((resolve) => void write("", resolve));
});
const args = process.argv.slice(2);

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // Whoever reads our output may go before its end, as `head` does: there is nobody left to tell.
  if (error.code === "EPIPE") process.exit(process.exitCode ?? EXIT_UNREAD);
  // On standard error, whatever was asked for: a JSON document has no place left.
  process.exit(reportStray(unwritableOutput(error), [], io));
});
// What stands there is beside the result: the work goes on without it.
process.stderr.on("error", () => undefined);

process.on("uncaughtException", (error) => process.exit(reportStray(error, args, io)));

process.exitCode = await runCli(args, io);
// A pipeline's own modules may have left something open that would keep the process alive.
await Promise.all(flushes.map(async (flush) => await flush()));
process.exit();
