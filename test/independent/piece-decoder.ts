/** Values out of pieces, by the section "Encodings of pieces" of docs/format.md alone. */

/** A piece's bytes and how they are to be read. */
export interface Piece {
  readonly encoding: string;
  readonly bytes: Buffer;
}

/** The value of a piece. */
export function decodePiece({ encoding, bytes }: Piece): unknown {
  if (encoding === "bytes") return new Uint8Array(bytes);
  const json: unknown = JSON.parse(bytes.toString("utf8"));
  if (encoding === "json") return json;
  if (encoding === "tagged") return untagged(json);
  throw new Error(`The encoding ${encoding} is not known`);
}

function untagged(value: unknown): unknown {
  if (Array.isArray(value)) {
    const list: unknown[] = [];
    list.length = value.length;
    for (const [index, item] of value.entries()) {
      if (!(isTag(item) && item.$[0] === "hole")) list[index] = untagged(item);
    }
    return list;
  }
  if (typeof value !== "object" || value === null) return value;
  if (isTag(value)) return tagValue(value.$[0], value.$[1]);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, untagged(item)]));
}

function tagValue(tag: string, payload: unknown): unknown {
  const pairs = (): [unknown, unknown][] =>
    (payload as [unknown, unknown][]).map(([key, item]) => [untagged(key), untagged(item)]);
  switch (tag) {
    case "number":
      return Number(payload);
    case "bigint":
      return BigInt(payload as string);
    case "undefined":
      return undefined;
    case "date":
      return new Date(payload === null ? Number.NaN : (payload as number));
    case "map":
      return new Map(pairs());
    case "set":
      return new Set((payload as unknown[]).map((item) => untagged(item)));
    case "bytes":
      return new Uint8Array(Buffer.from(payload as string, "base64"));
    case "buffer":
      return Buffer.from(payload as string, "base64");
    case "object":
      return Object.fromEntries(pairs() as [string, unknown][]);
    default:
      throw new Error(`The tag ${tag} is not known`);
  }
}

function isTag(value: unknown): value is { readonly $: readonly [string, unknown] } {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.keys(value).length === 1 &&
    "$" in value &&
    Array.isArray(value.$)
  );
}
