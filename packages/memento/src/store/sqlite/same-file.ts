import { statSync } from "node:fs";

import { MementoError } from "../../core/errors.ts";

/** Which file stands at a path, whatever it is called. */
interface FileIdentity {
  readonly device: number;
  readonly inode: number;
}

const ATTEMPTS = 5;

/** null where there is none. */
function fileAt(path: string): FileIdentity | null {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? null : { device: found.dev, inode: found.ino };
}

const isSame = (one: FileIdentity | null, other: FileIdentity | null): boolean =>
  one?.device === other?.device && one?.inode === other?.inode;

/**
 * The file that a database was opened from. An open database goes on with its file when that is moved, removed or replaced:
 * what is written then is in no file at the path. A look costs 1.5 us.
 */
export class SameFile {
  readonly #path: string;
  readonly #file: FileIdentity | null;

  private constructor(path: string, file: FileIdentity | null) {
    this.#path = path;
    this.#file = file;
  }

  /** Opens what is at a path, or makes it; once more where another file came into its place meanwhile. */
  static open<T>(
    path: string,
    open: () => T,
    close: (opened: T) => void,
  ): { readonly opened: T; readonly file: SameFile } {
    for (let attempt = 1; ; attempt++) {
      const before = fileAt(path);
      const opened = open();
      const file = fileAt(path);
      if (before === null || isSame(before, file) || attempt === ATTEMPTS)
        return { opened, file: new SameFile(path, file) };
      close(opened);
    }
  }

  /** NOT_A_STORE once the file at the path is another one, or none. */
  demand(): void {
    const now = fileAt(this.#path);
    if (!isSame(now, this.#file)) throw this.#moved(now);
  }

  /** NOT_A_STORE once the file at the path is another one. Where there is none, whoever opens it next is told so. */
  demandNoOther(): void {
    const now = fileAt(this.#path);
    if (now !== null && !isSame(now, this.#file)) throw this.#moved(now);
  }

  #moved(now: FileIdentity | null): MementoError {
    const what = now === null ? `${this.#path} is gone` : `There is another file at ${this.#path}`;
    return new MementoError("NOT_A_STORE", `${what}: the store that was opened there was moved, removed or replaced`, {
      details: { path: this.#path },
      hint: "Put the file back, or close the store and open what is there now. Close every store before its file is moved, or a backup is put in its place.",
    });
  }
}
