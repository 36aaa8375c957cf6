import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { openMemento } from "../place/store-place.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import { rotationText } from "./keys-rotate.ts";

interface RevokeFlags {
  readonly to?: string;
}

/** `memento keys revoke ID`: takes a key away for good. */
export function registerKeysRevoke(keys: Command, run: Runner): void {
  const command = keys
    .command("revoke")
    .summary("take a key away for good")
    .description(
      "Wraps by another key all that this one wraps, and takes it out of the key file once it wraps nothing. Whoever has copied both the key and the store before can still open that copy.",
    )
    .argument("<id>", "the key's id, as `memento keys list` shows it")
    .option("--to <id>", "the key to wrap by; else the current one, or a fresh one where that is revoked")
    .action(
      async (id: string, flags: RevokeFlags) => await run(async (invocation) => await revoke(invocation, id, flags)),
    );
  addHelp(command, {
    examples: [
      ["memento keys revoke kZb0c2Vq81x", "after `memento keys rotate`, or instead of it"],
      ["memento keys revoke kZb0c2Vq81x --to k9dQw1mRt0_", "and choose the key that takes over"],
    ],
    exitCodes: [EXIT.refused, 130, 143],
  });
}

async function revoke(invocation: Invocation, id: string, { to }: RevokeFlags): Promise<Outcome> {
  const { io, style } = invocation;
  await using memento = await openMemento(invocation);
  using line = new ProgressLine(io);
  using stop = catchInterrupts({ io, note: (text) => line.note(text) }, "the key stays, and can be revoked again");
  const report = await memento.revokeKey(id, {
    signal: stop.signal,
    onProgress: ({ done, total }) => line.update({ label: "revoke", done, total, unit: "keys" }),
    ...(to === undefined ? {} : { to }),
  });
  const { files, elsewhere, made } = report;
  const gone = [
    files.length === 0
      ? `Nothing is wrapped by ${style.bold(id)} any more.`
      : `Revoked ${style.bold(id)}: it is no longer in ${files.join(", ")}, and opens nothing. Destroy the copies of it too.`,
    ...(elsewhere.length === 0 ? [] : [`Take it away where it is kept: ${elsewhere.join(", ")}.`]),
  ];
  return { json: { ...report, revoked: id }, text: () => [rotationText(report, made, style), ...gone].join("\n") };
}
