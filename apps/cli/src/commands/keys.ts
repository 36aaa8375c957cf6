import type { Command } from "commander";

import type { Runner } from "../invocation.ts";
import { registerKeysList } from "./keys-list.ts";
import { registerKeysNew } from "./keys-new.ts";
import { registerKeysRevoke } from "./keys-revoke.ts";
import { registerKeysRotate } from "./keys-rotate.ts";

/** `memento keys list|new|rotate|revoke`: the keys that wrap the store's own. */
export function registerKeys(program: Command, run: Runner): void {
  const keys = program
    .command("keys")
    .summary("list, make, rotate and revoke keys")
    .description(
      "The keys that a sealed store is opened with. They wrap the store's data keys, so that a change of keys rewrites no memento.",
    )
    .helpCommand(false);
  for (const register of [registerKeysList, registerKeysNew, registerKeysRotate, registerKeysRevoke])
    register(keys, run);
  keys.addHelpText(
    "after",
    `
Examples:
  memento keys list             which keys there are, and what each wraps
  memento keys rotate           wrap everything by a new key
  memento keys revoke kZb0c2    take an old key away for good

Exit codes:
  0    done
  1    failed
  2    the command line is wrong
  4    refused: something is still wrapped by the key
`,
  );
}
