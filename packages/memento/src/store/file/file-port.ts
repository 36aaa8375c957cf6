import { link, mkdir, open, opendir, readFile, rename, stat, unlink } from "node:fs/promises";
import process from "node:process";

/** A file that is being written and has no reader yet. */
export interface NewFile {
  /** Writes bytes behind what was written; gives how many, which may be fewer than were offered. */
  write(bytes: Uint8Array): Promise<number>;
  /** Returns once content and size are on the device. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/**
 * The calls to the file system that the driver makes: nothing else touches the disk. Tests put their own in its place to
 * stop at any call, or to lose what was not synced. Every call rejects with the system's own error, which has a `code`.
 */
export interface FilePort {
  read(path: string): Promise<Uint8Array>;
  /** Opens a file that must not exist. */
  create(path: string): Promise<NewFile>;
  /** Gives a file a second name; EEXIST when that name is taken. This is what makes create-if-absent atomic. */
  link(file: string, name: string): Promise<void>;
  /** Moves a file over whatever has the name. */
  rename(file: string, name: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Writes over a file's first bytes, where they lie, and returns once they are on the device. */
  overwrite(path: string, bytes: Uint8Array): Promise<void>;
  makeFolder(path: string): Promise<void>;
  /** Returns once the names in a folder are on the device. */
  syncFolder(path: string): Promise<void>;
  /** The names in a folder, in no order. */
  list(path: string): AsyncIterable<string>;
  /** Milliseconds since 1970, by the file system's clock. */
  modifiedAt(path: string): Promise<number>;
}

/** The machine's own file system. */
export const nodeFiles: FilePort = {
  read: (path) => readFile(path),
  create: async (path) => {
    const handle = await open(path, "wx", 0o600);
    return {
      write: async (bytes) => (await handle.write(bytes)).bytesWritten,
      sync: () => handle.datasync(),
      close: () => handle.close(),
    };
  },
  link,
  rename,
  unlink,
  overwrite: async (path, bytes) => {
    const handle = await open(path, "r+");
    try {
      for (let offset = 0; offset < bytes.byteLength;) {
        const { bytesWritten } = await handle.write(bytes, offset, bytes.byteLength - offset, offset);
        if (bytesWritten === 0) throw new Error(`no byte more of ${path} was taken`);
        offset += bytesWritten;
      }
      await handle.datasync();
    } finally {
      await handle.close();
    }
  },
  makeFolder: async (path) => {
    await mkdir(path, 0o700);
  },
  syncFolder: async (path) => {
    // Windows opens no folders; its file systems journal names by themselves.
    if (process.platform === "win32") return;
    const handle = await open(path, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  async *list(path) {
    for await (const { name } of await opendir(path, { bufferSize: 512 })) yield name;
  },
  modifiedAt: async (path) => (await stat(path)).mtimeMs,
};
