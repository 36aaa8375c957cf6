import type { Command } from "commander";

import { addHelp, TARGET_NOTE } from "../command-help.ts";
import { diffMementos } from "../difference/memento-difference.ts";
import { differenceText } from "../difference/render.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { findMemento } from "../pipelines/find-memento.ts";
import { openMemento } from "../place/store-place.ts";

interface DiffOptions {
  readonly timeline?: string;
  readonly full?: boolean;
}

/** `memento diff A B`: what differs between two mementos. */
export function registerDiff(program: Command, run: Runner): void {
  const command = program
    .command("diff")
    .summary("show what differs between two mementos")
    .description(
      "Shows what differs between two mementos: offsets, state, stage outputs, sink marks. They may be of different timelines.",
    )
    .argument("<a>", "a TARGET")
    .argument("<b>", "another one")
    .option("--timeline <name>", "the timeline on which they are, where that is not clear")
    .option("--full", "show every place, and compare large values too")
    .action(
      async (a: string, b: string, options: DiffOptions) =>
        await run(async (invocation) => await diff(invocation, [a, b], options)),
    );
  addHelp(command, {
    notes: [TARGET_NOTE],
    examples: [
      ["memento diff head~1 head", "what the newest memento changed"],
      ["memento diff stage:extract stage:load", "from one stage to another"],
    ],
    exitCodes: [EXIT.damaged],
  });
}

async function diff(
  invocation: Invocation,
  [a, b]: readonly [string, string],
  { timeline, full = false }: DiffOptions,
): Promise<Outcome> {
  await using memento = await openMemento(invocation);
  const difference = await diffMementos(
    memento,
    await findMemento(memento, a, timeline),
    await findMemento(memento, b, timeline),
    full,
  );
  const { style, io } = invocation;
  const columns = io.out.isTerminal ? io.out.columns : 100;
  return { json: difference, text: () => differenceText(difference, { style, columns, full }) };
}
