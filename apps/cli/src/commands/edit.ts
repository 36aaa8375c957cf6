import { readFileSync } from "node:fs";
import path from "node:path";

import { MementoError, type DocumentChange, type EditResult, type Memento, type Pipeline } from "@mementojs/memento";
import type { Json } from "@mementojs/memento/core";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { jsonPatch } from "../difference/json-patch.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { toJsonText } from "../json-text.ts";
import { collect, collectValues } from "../option-values.ts";
import { rollbackSubject, type RollbackSubject } from "../pipelines/rollback-place.ts";
import { whoAsks } from "../pipelines/who-asks.ts";
import { openMemento } from "../place/store-place.ts";
import { parseState } from "../state-json.ts";
import { asGiven, ownCommand } from "../terminal/own-command.ts";
import { editText } from "../terminal/text-editor.ts";
import { shortValueText } from "../terminal/value-text.ts";
import { counted } from "../terminal/words.ts";

interface EditCommandOptions {
  readonly set?: Readonly<Record<string, Json>>;
  readonly unset?: readonly string[];
  readonly patch?: string;
  readonly editor?: true;
  readonly dryRun?: true;
  readonly why?: string;
  readonly timeline?: string;
  readonly pipeline?: string;
}

/** `memento edit head --set state.x=1`: changes what a run keeps, by hand. */
export function registerEdit(program: Command, run: Runner): void {
  const command = program
    .command("edit")
    .summary("change state, offsets, outputs or parameters by hand")
    .description(
      "Changes what the head of a timeline keeps. What is changed is judged first and becomes a new head; the old one stays, and going back to it undoes the edit. Data is not touched.",
    )
    .argument(
      "[memento]",
      "the head: head, or its id; where another one is the head by now, nothing is changed",
      "head",
    )
    .option("--set <path=json>", "a value at a place; text where it is no JSON; repeat for more", collectValues)
    .option("--unset <path>", "take away what is at a place; repeat for more", collect)
    .option("--patch <file>", "a JSON Patch, or a JSON Merge Patch, of { params, state, offsets, outputs }")
    .option("--editor", "change params, state and offsets in your editor")
    .option("--dry-run", "say what would change; change nothing")
    .option("--why <text>", "the reason; kept as evidence")
    .option("--timeline <name>", "the timeline, where there are several")
    .option("--pipeline <file>", "the pipeline's file, where it is no longer where the run had it from")
    .action(
      async (target: string, options: EditCommandOptions) =>
        await run(async (invocation) => await edit(invocation, target, options)),
    );
  addHelp(command, {
    notes: [
      "A place is written state.prices[0], offsets.orders.0 (source and partition), outputs.extract.path, params.limit,\nor as a JSON Pointer: /state/prices/0.",
    ],
    examples: [
      ["memento edit head --set offsets.orders.0=17000 --why 'lost at the source'", "read again from there"],
      ["memento edit head --set 'state.rates={\"eur\":1.1}' --unset state.cache", "two changes at once"],
      ["memento edit head --editor", "by hand"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused],
  });
}

async function edit(invocation: Invocation, target: string, options: EditCommandOptions): Promise<Outcome> {
  const { io } = invocation;
  const { set = {}, unset = [], dryRun = false, why = "" } = options;
  if (Object.keys(set).length === 0 && unset.length === 0 && options.patch === undefined && options.editor !== true)
    throw new MementoError("INVALID_ARGUMENT", "Nothing is to be changed", {
      hint: "Say what by --set, --unset, --patch or --editor.",
    });
  await using memento = await openMemento(invocation);
  const subject = await rollbackSubject(memento, { ...options, target, cwd: io.cwd });
  const patch = await patchOf(invocation, memento, subject, options);
  const edits = [
    ...Object.entries(set).map(([place, value]) => ({ path: place, value })),
    ...unset.map((place) => ({ path: place })),
  ];
  const result = await memento.edit(subject.pipeline, {
    ...subject.place,
    target,
    edits,
    ...(patch === null ? {} : { patch }),
    dryRun,
    by: whoAsks(),
    why,
  });
  return { json: result, text: () => outcomeText(invocation, subject.pipeline, result, options) };
}

async function patchOf(
  { io }: Invocation,
  memento: Memento,
  { pipeline, place }: RollbackSubject,
  { patch, editor }: EditCommandOptions,
): Promise<Json | null> {
  if (patch !== undefined && editor === true)
    throw new MementoError("INVALID_ARGUMENT", "A patch from a file and one from an editor are two edits: name one");
  if (patch !== undefined) return parseState(readPatch(path.resolve(io.cwd, patch)), patch) as Json;
  if (editor !== true) return null;
  if (io.ask === null) throw new MementoError("INVALID_ARGUMENT", "There is no terminal for an editor");
  const { params, state, offsets } = await memento.editable(pipeline, place);
  const text = toJsonText({ params, state, offsets });
  const edited = parseState(Buffer.from(editText(text, io)), "What the editor left");
  return jsonPatch(JSON.parse(text) as Json, edited as Json);
}

function readPatch(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new MementoError("INPUT_MISSING", `The patch ${file} cannot be read`, { cause });
  }
}

function outcomeText(
  invocation: Invocation,
  { name }: Pipeline,
  { head, undo, changes }: EditResult,
  { dryRun, pipeline: file }: EditCommandOptions,
): string {
  const { style } = invocation;
  if (changes.length === 0) return `Nothing differs: ${name} stays as it is\nhead ${head}`;
  const list = changes.map((change) => `  ${changeText(change)}`);
  const facts =
    dryRun === true
      ? [`${counted(changes.length, "place")} of ${name} would change`, ...list, style.dim("Nothing was changed.")]
      : [
          `${style.green("Edited")} ${name}`,
          ...list,
          `head ${head}`,
          style.dim(`To undo it: ${ownCommand(invocation, "plan", undo, ...asGiven("--pipeline", file))}`),
        ];
  return facts.join("\n");
}

function changeText(change: DocumentChange): string {
  const side = (value: "before" | "after"): string => (value in change ? shortValueText(change[value], 60) : "nothing");
  return `${change.path}: ${side("before")} -> ${side("after")}`;
}
