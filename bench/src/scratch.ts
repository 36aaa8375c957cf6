import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";

/**
 * The one temp folder of a run: every engine keeps its data below it, so all of them use the same disk. It is removed
 * when disposed of, and by the latest when the process exits.
 */
export class Scratch implements Disposable {
  readonly path: string;
  readonly #remove: () => void;

  constructor(parent: string) {
    mkdirSync(parent, { recursive: true });
    this.path = mkdtempSync(join(parent, "memento-bench-"));
    // Servers that run as a user of their own must be able to pass through.
    chmodSync(this.path, 0o711);
    this.#remove = () => rmSync(this.path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    process.once("exit", this.#remove);
  }

  /** Creates a folder below the scratch folder and returns its path. */
  folder(name: string): string {
    const path = join(this.path, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  [Symbol.dispose](): void {
    process.off("exit", this.#remove);
    this.#remove();
  }
}
