import { compressionOf, decompressed, rawBytes, type Compression } from "./compression.ts";
import type { InputFile } from "./input-file.ts";
import { SequentialFile } from "./sequential-file.ts";
import { decodedText, type TextEncoding } from "./text-encoding.ts";

/** How the text of a file is to be had from its bytes. */
export interface TextViewOptions {
  readonly compression: Compression;
  readonly encoding: TextEncoding;
  /** True: a file that ends inside a character is still being written. */
  readonly stillWritten: boolean;
}

/**
 * A file's text as if it stood in a file of UTF-8: the file itself where it does. Places in it are bytes of that text; what lies
 * before them is decompressed and decoded again to get there.
 */
export async function textView(file: InputFile, options: TextViewOptions): Promise<InputFile> {
  const { encoding, stillWritten } = options;
  const compression = await compressionOf(file, options.compression);
  if (compression === "none" && encoding === "utf-8") return file;
  const grows = compression === "none";
  const text = (read: (bytes: number) => void): AsyncGenerator<Buffer> => {
    const raw = rawBytes(file, read);
    const plain = compression === "none" ? raw : decompressed(file, raw, compression);
    return decodedText(plain, { path: file.path, encoding, stillWritten: stillWritten && grows });
  };
  return new SequentialFile(file, text, grows);
}
