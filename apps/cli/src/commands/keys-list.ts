import type { KeySurvey } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { openMemento } from "../place/store-place.ts";
import { renderTable } from "../terminal/table.ts";
import { counted } from "../terminal/words.ts";

/** `memento keys list`: which keys there are, and what each wraps. */
export function registerKeysList(keys: Command, run: Runner): void {
  const command = keys
    .command("list")
    .summary("which keys there are, and what each wraps")
    .description(
      "Lists the keys that are held here, the current one first, and those that the store still needs and that are not held. Never shows a key itself.",
    )
    .action(async () => await run(async (invocation) => await list(invocation)));
  addHelp(command, {
    examples: [
      ["memento keys list", "the keys of this project's store"],
      ["memento keys list --json", "for scripts"],
    ],
    exitCodes: [EXIT.damaged],
  });
}

async function list(invocation: Invocation): Promise<Outcome> {
  await using memento = await openMemento(invocation);
  const survey = await memento.keys();
  const damaged = survey.unopened.some(({ code }) => code === "DAMAGED");
  return {
    json: { store: memento.vault.store.url, ...survey },
    text: () => text(survey, invocation),
    exitCode: damaged ? EXIT.damaged : survey.unopened.length > 0 ? EXIT.failed : EXIT.done,
  };
}

function text({ keys, unopened }: KeySurvey, { style, io }: Invocation): string {
  const table = renderTable(
    [{ head: "key" }, { head: "wraps", align: "right" }, { head: "state" }, { head: "from", shrinks: true }],
    keys.map(({ id, origin, current, wraps }) => [
      style.bold(id),
      String(wraps),
      current ? style.green("current") : origin === null ? style.red("not held") : wraps > 0 ? "in use" : "unused",
      origin ?? "",
    ]),
    style,
    io.out.isTerminal ? io.out.columns : null,
  );
  if (unopened.length === 0) return table;
  const lost = unopened.map(({ id, group, problem }) => `  ${id}${group === "" ? "" : ` of ${group}`}: ${problem}`);
  return [table, "", style.red(`${counted(unopened.length, "key")} of the store cannot be opened:`), ...lost].join(
    "\n",
  );
}
