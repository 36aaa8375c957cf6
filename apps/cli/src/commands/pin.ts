import type { Command } from "commander";

import { addHelp, TARGET_NOTE } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { findMemento } from "../pipelines/find-memento.ts";
import { openMemento } from "../place/store-place.ts";

interface PinCommandOptions {
  readonly reason?: string;
  readonly until?: string;
  readonly timeline?: string;
}

/** `memento pin TARGET`: keeps a memento from being removed. */
export function registerPin(program: Command, run: Runner): void {
  const command = program
    .command("pin")
    .summary("keep a memento from being removed")
    .description("Pins a memento: no policy, no `gc` and no `rm` removes it until it is unpinned.")
    .argument("<memento>", "a TARGET")
    .option("--reason <text>", "why, for whoever asks later")
    .option("--until <moment>", "until when, such as 2027-01-31 (its beginning in UTC) or 2027-01-31T12:00:00Z")
    .option("--timeline <name>", "the timeline on which it is, where that is not clear")
    .action(
      async (target: string, options: PinCommandOptions) =>
        await run(async (invocation) => await pin(invocation, target, options)),
    );
  addHelp(command, {
    notes: [TARGET_NOTE],
    examples: [["memento pin head --reason 'before the migration'", "the present state"]],
    exitCodes: [EXIT.refused],
  });
}

async function pin(invocation: Invocation, target: string, options: PinCommandOptions): Promise<Outcome> {
  await using memento = await openMemento(invocation);
  const id = await findMemento(memento, target, options.timeline);
  const { entry } = await memento.vault.load(id);
  const { reason, until } = options;
  const made = await memento.caretaker(entry.caretaker).pin(id, {
    ...(reason === undefined ? {} : { reason }),
    ...(until === undefined ? {} : { until }),
  });
  const end = made.until === null ? "" : ` until ${made.until}`;
  return { json: { ...made, caretaker: entry.caretaker }, text: () => `Pinned ${id}${end}.` };
}
