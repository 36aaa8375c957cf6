import type { RollbackResult } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp, TARGET_NOTE } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { collect } from "../option-values.ts";
import { rollbackSubject } from "../pipelines/rollback-place.ts";
import { whoAsks } from "../pipelines/who-asks.ts";
import { openMemento } from "../place/store-place.ts";
import { asGiven, ownCommand } from "../terminal/own-command.ts";
import { counted, grouped } from "../terminal/words.ts";

interface RollbackCommandOptions {
  readonly plan: string;
  readonly only?: readonly string[];
  readonly paused?: true;
  readonly force?: readonly string[];
  readonly why?: string;
  readonly timeline?: string;
  readonly pipeline?: string;
}

/** `memento rollback TARGET --plan HASH`: goes back, by a plan that was looked at. */
export function registerRollback(program: Command, run: Runner): void {
  const command = program
    .command("rollback")
    .summary("go back: data, offsets and state together")
    .description(
      "Takes data, offsets and state back to a memento, by a plan that was looked at. Nothing is destroyed: it can itself be rolled back.",
    )
    .argument("<target>", "where to go back to")
    .requiredOption("--plan <hash>", "the plan's hash, from `memento plan`")
    .option(
      "--force <name>",
      "go on though this sink or source cannot be taken back, and take its rows that others changed; repeat for more",
      collect,
    )
    .option("--only <item>", "only this goes back, as the plan was made for; repeat for more", collect)
    .option("--paused", "let nothing run afterwards until `memento resume`")
    .option("--why <text>", "the reason; kept as evidence")
    .option("--timeline <name>", "the timeline that goes back, where there are several")
    .option("--pipeline <file>", "the pipeline's file, where it is no longer where the run had it from")
    .action(
      async (target: string, options: RollbackCommandOptions) =>
        await run(async (invocation) => await rollback(invocation, target, options)),
    );
  addHelp(command, {
    notes: [TARGET_NOTE],
    examples: [
      ["memento rollback stage:extract --plan HASH --why 'bad prices'", "apply the plan that was shown"],
      ["memento rollback head~3 --plan HASH --paused", "look first, then `memento resume`"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused, 130, 143],
  });
}

async function rollback(invocation: Invocation, target: string, options: RollbackCommandOptions): Promise<Outcome> {
  const { io } = invocation;
  await using memento = await openMemento(invocation);
  const { pipeline, place } = await rollbackSubject(memento, {
    target,
    timeline: options.timeline,
    pipeline: options.pipeline,
    cwd: io.cwd,
  });
  using _stop = catchInterrupts(invocation, "the rollback is finished first");
  const restored: { readonly target: string; readonly memento: string }[] = [];
  const result = await memento.rollback(pipeline, target, {
    ...place,
    plan: options.plan,
    ...(options.only === undefined ? {} : { only: options.only }),
    paused: options.paused ?? false,
    force: options.force ?? [],
    by: whoAsks(),
    why: options.why ?? "",
    onEvent: (event) => {
      if (event.type === "restore-finished") restored.push(event);
    },
  });
  const before = restored.find(({ memento: head }) => head !== result.head);
  if (before !== undefined) invocation.note(`a rollback to ${before.target} stood unfinished and was finished first`);
  return { json: result, text: () => rollbackText(invocation, result, options) };
}

interface Evidence {
  readonly sinks?: readonly {
    readonly name: string;
    readonly verdict: string;
    readonly removed: number;
    readonly restored: number;
    readonly kept: readonly { readonly item: string }[];
    readonly stays?: { readonly total: number };
  }[];
}

function rollbackText(
  invocation: Invocation,
  { head, undo, plan, evidence }: RollbackResult,
  { pipeline }: RollbackCommandOptions,
): string {
  const { style } = invocation;
  const all = (evidence as Evidence | undefined)?.sinks ?? [];
  const sinks = all.map(({ name, verdict, removed, restored, kept, stays }) => {
    const left = stays === undefined ? [] : [style.yellow(`${counted(stays.total, "record")} left in place`)];
    if (verdict === "compensated") return `  ${name}: ${[`${grouped(restored)} answered`, ...left].join(", ")}`;
    const facts = [
      `${counted(removed, "row")} removed`,
      `${grouped(restored)} put back`,
      ...(kept.length > 0 ? [style.yellow(`${grouped(kept.length)} left as others made them`)] : []),
    ];
    return `  ${name}: ${[verdict === "reverted" ? facts.join(", ") : verdict, ...left].join(", ")}`;
  });
  return [
    `${style.green("Rolled back")} ${plan.pipeline} to #${plan.target.sequence} ${plan.target.id}`,
    ...sinks,
    `head ${head}`,
    style.dim(`To undo it: ${ownCommand(invocation, "plan", undo, ...asGiven("--pipeline", pipeline))}`),
  ].join("\n");
}
