import { MementoError } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp, TARGET_NOTE } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { findMemento } from "../pipelines/find-memento.ts";
import { openMemento } from "../place/store-place.ts";

interface UnpinOptions {
  readonly timeline?: string;
}

/** `memento unpin TARGET`: takes a pin away. */
export function registerUnpin(program: Command, run: Runner): void {
  const command = program
    .command("unpin")
    .summary("take a pin away")
    .description("Takes a memento's pin away. It stays until a policy or somebody removes it.")
    .argument("<memento>", "a TARGET")
    .option("--timeline <name>", "the timeline on which it is, where that is not clear")
    .action(
      async (target: string, options: UnpinOptions) =>
        await run(async (invocation) => await unpin(invocation, target, options)),
    );
  addHelp(command, {
    notes: [TARGET_NOTE],
    examples: [["memento unpin k2v9qm4x7c1d-17-x8f2k1", "by its id"]],
    exitCodes: [EXIT.refused],
  });
}

async function unpin(invocation: Invocation, target: string, { timeline }: UnpinOptions): Promise<Outcome> {
  await using memento = await openMemento(invocation);
  const id = await findMemento(memento, target, timeline);
  const { entry } = await memento.vault.load(id);
  if (!(await memento.caretaker(entry.caretaker).unpin(id)))
    throw new MementoError("NOT_FOUND", `Memento ${id} is not pinned`, {
      hint: `\`memento policy ${entry.caretaker} --json\` lists the pins.`,
    });
  return { json: { unpinned: id }, text: () => `Unpinned ${id}.` };
}
