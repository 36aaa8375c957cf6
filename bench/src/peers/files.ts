// One compressed file for each save, as many scripts do it: JSON.stringify, compress in one call, write to a temporary
// name, fsync, rename, fsync the folder (without which a crash may undo the rename). It is not sealed, keeps no digest and
// no index: nothing that could be left out is done.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import zlib from "node:zlib";

import { bytesIn, type OpenKeeper } from "./state-keeper.ts";

interface Compression {
  readonly compress: (text: string) => Buffer;
  readonly decompress: (bytes: Buffer) => Buffer;
}

const gzip6: Compression = {
  compress: (text) => zlib.gzipSync(text, { level: 6 }),
  decompress: (bytes) => zlib.gunzipSync(bytes),
};

const zstd3: Compression = {
  compress: (text) => zlib.zstdCompressSync(text, { params: { [zlib.constants.ZSTD_c_compressionLevel]: 3 } }),
  decompress: (bytes) => zlib.zstdDecompressSync(bytes),
};

function files({ compress, decompress }: Compression): OpenKeeper {
  return (folder) => {
    let saves = 0;
    let last = "";
    return {
      save: (state) => {
        last = join(folder, `${saves++}.json.z`);
        writeDurably(folder, last, compress(JSON.stringify(state)));
      },
      finish: () => bytesIn(folder),
      reader: () => ({
        load: async () => JSON.parse(decompress(readFileSync(last)).toString()) as unknown,
        [Symbol.asyncDispose]: async () => undefined,
      }),
      [Symbol.asyncDispose]: async () => undefined,
    };
  };
}

/** gzip at level 6. */
export const openGzipFiles = files(gzip6);

/** zstd at level 3. */
export const openZstdFiles = files(zstd3);

function writeDurably(folder: string, path: string, bytes: Buffer): void {
  const file = openSync(`${path}.tmp`, "wx");
  writeFileSync(file, bytes);
  fsyncSync(file);
  closeSync(file);
  renameSync(`${path}.tmp`, path);
  const directory = openSync(folder, "r");
  fsyncSync(directory);
  closeSync(directory);
}
