import process from "node:process";

import { reportStray, runCli } from "./cli.ts";
import { EXIT_UNREAD } from "./exit-code.ts";
import { processIo, unwritableOutput } from "./io.ts";

const UNFINISHED =
  "The command did not come to its end: code of the pipeline waits for what never comes, or has ended the process. A run goes on at its last memento";

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

let ended = false;
process.on("exit", (code) => {
  // Node is done where nothing is left that could wake it, whatever still waits; that is no success.
  if (!ended && code === 0) process.exitCode = reportStray(new Error(UNFINISHED), args, io);
});

process.exitCode = await runCli(args, io);
ended = true;
// A pipeline's own modules may have left something open that would keep the process alive.
await Promise.all(flushes.map(async (flush) => await flush()));
process.exit();
