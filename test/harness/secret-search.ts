/** Looks for a secret in bytes: as text, in JSON and URL spelling, as base64 at any alignment, and as hex; null where there is none. */
export function findSecret(bytes: Uint8Array, secret: string): string | null {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  for (const [spelling, needle] of spellings(secret)) {
    if (text.includes(needle)) return spelling;
  }
  return text.toLowerCase().includes(Buffer.from(secret, "utf8").toString("hex")) ? "hex" : null;
}

function spellings(secret: string): [name: string, needle: string][] {
  const bytes = Buffer.from(secret, "utf8");
  const latin1 = (text: string): string => Buffer.from(text, "utf8").toString("latin1");
  return [
    ["text", latin1(secret)],
    ["utf-16", Buffer.from(secret, "utf16le").toString("latin1")],
    ["url", encodeURIComponent(secret)],
    ["json", latin1(JSON.stringify(secret).slice(1, -1))],
    ...[0, 1, 2].flatMap((shift): [string, string][] => {
      const encoded = Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64");
      // The first and last characters depend on what stands beside the secret.
      const core = encoded.slice(Math.ceil((shift * 4) / 3), -4);
      return [
        ["base64", core],
        ["base64url", core.replaceAll("+", "-").replaceAll("/", "_")],
      ];
    }),
  ];
}
