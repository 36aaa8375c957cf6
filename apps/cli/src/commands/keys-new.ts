import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { openMemento } from "../place/store-place.ts";

/** `memento keys new`: adds a key to the key file. */
export function registerKeysNew(keys: Command, run: Runner): void {
  const command = keys
    .command("new")
    .summary("add a key to the key file, as the current one")
    .description(
      "Adds a fresh key to the key file. What is sealed from now on is wrapped by it; the other keys stay, so that all opens. The key is never shown.",
    )
    .action(async () => await run(async (invocation) => await make(invocation)));
  addHelp(command, {
    examples: [
      ["memento keys new", "in the key file of this project's store"],
      ["memento keys new && memento keys rotate", "and then wrap all that is there by it"],
    ],
  });
}

async function make(invocation: Invocation): Promise<Outcome> {
  await using memento = await openMemento(invocation);
  const id = await memento.newKey();
  const file = memento.vault.ring?.keys?.()[0]?.file ?? null;
  return {
    json: { key: id, file },
    text: () =>
      `The current key is now ${invocation.style.bold(id)} in ${file ?? ""}\nKeep a copy of that file elsewhere. What was sealed before is wrapped anew by \`memento keys rotate\`.`,
  };
}
