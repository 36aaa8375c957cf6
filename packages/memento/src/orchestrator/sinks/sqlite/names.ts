/** A name as SQL writes it. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Names as SQL writes them, each after `prefix`, with commas between. */
export function listNames(names: readonly string[], prefix = ""): string {
  return names.map((name) => prefix + quoteName(name)).join(", ");
}

/** `prefix0, prefix1, ...`, as many as `count`. */
export function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`);
}
