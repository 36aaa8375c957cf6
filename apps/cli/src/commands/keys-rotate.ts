import type { Memento, RotateReport } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { openMemento } from "../place/store-place.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import type { Style } from "../terminal/style.ts";
import { counted } from "../terminal/words.ts";

interface RotateFlags {
  readonly to?: string;
  readonly again?: true;
}

/** `memento keys rotate`: wraps everything by a new key. */
export function registerKeysRotate(keys: Command, run: Runner): void {
  const command = keys
    .command("rotate")
    .summary("wrap everything by a new key")
    .description(
      "Makes a new key in the key file, and wraps all keys of the store by it; no memento is rewritten. Runs may go on meanwhile. Where a rotation was cut off, or `keys new` has made a key already, that one is used. Keys that are kept elsewhere are not made, only used: the first one that the environment names.",
    )
    .option("--to <id>", "wrap by this key, which is held already; `passphrase` for MEMENTO_PASSPHRASE")
    .option("--again", "also what that key wraps already: its service has a new version of it")
    .action(async (flags: RotateFlags) => await run(async (invocation) => await rotate(invocation, flags)));
  addHelp(command, {
    examples: [
      ["memento keys rotate", "to a new key of the key file"],
      ["memento keys rotate --to kZb0c2Vq81x", "to one that is held already"],
      ["MEMENTO_KEY_URL=aws-kms://... memento keys rotate", "see docs/keys.md for moves between kinds of keys"],
    ],
    exitCodes: [EXIT.damaged, 130, 143],
  });
}

async function rotate(invocation: Invocation, { to, again: asked }: RotateFlags): Promise<Outcome> {
  const { io, style } = invocation;
  const again = asked === true;
  await using memento = await openMemento(invocation);
  const made = to === undefined && !again && (await needsNewKey(memento)) ? await memento.newKey() : null;
  using line = new ProgressLine(io);
  using stop = catchInterrupts(
    { io, note: (text) => line.note(text) },
    "the rotation ends here and can be gone on with",
  );
  const report = await memento.rotateKeys({
    again,
    signal: stop.signal,
    onProgress: ({ done, total }) => line.update({ label: "rotate", done, total, unit: "keys" }),
    ...(to === undefined ? {} : { to }),
  });
  return {
    json: { ...report, made },
    text: () => rotationText(report, made, style),
    exitCode: exitCodeOf(report),
  };
}

/** True where keys are in a file and the current one wraps everything already: otherwise it is a rotation to go on with. */
async function needsNewKey(memento: Memento): Promise<boolean> {
  if (memento.vault.ring?.keys?.()[0]?.file === undefined) return false;
  const { keys, unopened } = await memento.keys();
  return keys.every(({ current, wraps }) => current || wraps === 0) && unopened.length === 0;
}

/** What could not be opened is either damage, or wants a key that is not held. */
function exitCodeOf({ unopened }: RotateReport): number {
  if (unopened.length === 0) return EXIT.done;
  return unopened.some(({ code }) => code === "DAMAGED") ? EXIT.damaged : EXIT.failed;
}

/** What a rotation did, for a person. */
export function rotationText(
  { current, rewrapped, unchanged, unopened }: RotateReport,
  made: string | null,
  style: Style,
): string {
  const by = style.bold(current ?? made ?? "");
  const lines = [
    `${counted(rewrapped, "key")} of the store wrapped anew by ${by}${unchanged > 0 ? `; ${unchanged} had been before` : ""}. No memento was touched.`,
  ];
  if (made !== null)
    lines.push("Keep a copy of the key file elsewhere: the new key is in it, and the old ones until they are revoked.");
  for (const { id, problem } of unopened) lines.push(`${style.red("not wrapped anew:")} ${id}: ${problem}`);
  return lines.join("\n");
}
