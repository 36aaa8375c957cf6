import { existsSync, statSync } from "node:fs";
import path from "node:path";

import { MementoError } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { keyAdvice, makeStore } from "../place/make-store.ts";
import { findStore, folderPlace, type StorePlace } from "../place/store-place.ts";

/** `memento init [FOLDER]`: makes a store and its key. */
export function registerInit(program: Command, run: Runner): void {
  const command = program
    .command("init")
    .summary("make a store and its key")
    .description(
      "Makes a store, and the key that seals it, in FOLDER/.memento. What is there already is left as it is.",
    )
    .argument("[folder]", "the project's folder; this one where none is named")
    .action(async (folder: string | undefined) => await run(async (invocation) => await init(invocation, folder)));
  addHelp(command, {
    examples: [
      ["memento init", "in this folder"],
      ["memento init ~/etl", "in another one"],
      ["memento init --store file:/data/mementos", "a store of another kind, elsewhere"],
    ],
  });
}

async function init(invocation: Invocation, folder: string | undefined): Promise<Outcome> {
  const place = placeFor(invocation, folder);
  const { memento, created, key } = await makeStore(place, invocation.io);
  await using _open = memento;
  const { meta, store } = memento.vault;
  return {
    json: {
      created,
      store: store.url,
      id: meta.id,
      format: meta.format,
      sealed: meta.sealed,
      folder: place.folder,
      key,
    },
    text: () => {
      const { bold } = invocation.style;
      if (!created) return `There is a store at ${bold(store.url)} already; nothing was changed.`;
      return `Made a store at ${bold(store.url)}\n${keyAdvice(key)}`;
    },
  };
}

function placeFor(invocation: Invocation, folder: string | undefined): StorePlace {
  const { io, store } = invocation;
  if (folder === undefined) {
    const named = store !== null || (io.env["MEMENTO_STORE"] ?? "") !== "";
    // Like a repository: a project below another one's may want a store of its own.
    return named ? findStore(invocation) : folderPlace(io.cwd);
  }
  if (store !== null)
    throw new MementoError("INVALID_ARGUMENT", "A folder and --store name two places", { hint: "Give one of them." });
  const project = path.resolve(io.cwd, folder);
  if (!existsSync(project) || !statSync(project).isDirectory()) {
    throw new MementoError("INVALID_ARGUMENT", `There is no folder ${project}`, { hint: "Make it first." });
  }
  return folderPlace(project);
}
