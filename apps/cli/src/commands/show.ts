import type { Command } from "commander";

import { addHelp, TARGET_NOTE } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { findMemento } from "../pipelines/find-memento.ts";
import { openMemento } from "../place/store-place.ts";
import { viewText } from "../report/memento-facts.ts";
import { viewJson, viewMemento } from "../report/memento-view.ts";

interface ShowOptions {
  readonly timeline?: string;
  readonly full?: boolean;
}

/** `memento show ID`: shows what a memento is and holds. */
export function registerShow(program: Command, run: Runner): void {
  const command = program
    .command("show")
    .summary("show what a memento is and holds")
    .description("Opens a memento, verifies it, and shows what it is and holds: offsets, state, outputs, sink marks.")
    .argument("<memento>", "a TARGET")
    .option("--timeline <name>", "the timeline on which it is, where that is not clear")
    .option("--full", "show long values and large outputs whole")
    .action(
      async (target: string, options: ShowOptions) =>
        await run(async (invocation) => await show(invocation, target, options)),
    );
  addHelp(command, {
    notes: [TARGET_NOTE],
    examples: [
      ["memento show head", "the newest memento of the only timeline"],
      ["memento show stage:load --timeline flights", "the newest taken at the end of stage load"],
      ["memento show head --json | jq .state", "the state, for a program"],
    ],
    exitCodes: [EXIT.damaged],
  });
}

async function show(invocation: Invocation, target: string, { timeline, full = false }: ShowOptions): Promise<Outcome> {
  await using memento = await openMemento(invocation);
  const view = await viewMemento(memento, await findMemento(memento, target, timeline), full);
  const { style, io } = invocation;
  const options = { style, now: io.clock.now(), columns: io.out.isTerminal ? io.out.columns : 100, full };
  return { json: viewJson(view), text: () => viewText(view, options) };
}
