import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { MementoError } from "@mementojs/memento";

import type { Io } from "../io.ts";

/** Lets a person change a text in their editor (VISUAL, else EDITOR, else vi); the file is theirs alone, and gone afterwards. INVALID_ARGUMENT where the editor fails. */
export function editText(text: string, { env, onStop }: Pick<Io, "env" | "onStop">): string {
  const editor = [env["VISUAL"], env["EDITOR"]].find((named) => (named ?? "") !== "") ?? "vi";
  // Ctrl-C is for the editor: what it leaves is cleared away by us.
  const release = onStop(() => undefined);
  const folder = mkdtempSync(path.join(tmpdir(), "memento-edit-"));
  try {
    const file = path.join(folder, "memento.json");
    writeFileSync(file, text, { mode: 0o600 });
    // By a shell, as other programs do it: the variable may hold options too.
    const { status, error } = spawnSync("/bin/sh", ["-c", `${editor} "$1"`, "sh", file], { stdio: "inherit" });
    if (status !== 0) {
      throw new MementoError(
        "INVALID_ARGUMENT",
        `The editor ${editor} ended with ${status ?? "a signal"}; nothing was changed`,
        {
          cause: error,
          hint: "Name another one by EDITOR.",
        },
      );
    }
    return readFileSync(file, "utf8");
  } finally {
    release();
    rmSync(folder, { recursive: true, force: true });
  }
}
