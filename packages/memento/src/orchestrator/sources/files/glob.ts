import { MementoError } from "../../../core/errors.ts";

/**
 * Whether a path with `/` between its names fits a pattern: `*` and `?` stand for characters inside a name, `**` for any names,
 * `[a-z]` for one character, `{a,b}` for one of several texts. INVALID_ARGUMENT for a pattern that is none.
 */
export function globFilter(pattern: string): (path: string) => boolean {
  const expression = expressionOf(pattern);
  return (path) => expression.test(path);
}

const TOKEN = /\*\*\/|\*\*|\*|\?|\[!?[^\]/]+\]|[{},]|[^*?[{},]+|\[/gu;

function expressionOf(pattern: string): RegExp {
  let depth = 0;
  const parts = (pattern.match(TOKEN) ?? []).map((token) => {
    if (token === "**/") return "(?:[^/]+/)*";
    if (token === "**") return ".*";
    if (token === "*") return "[^/]*";
    if (token === "?") return "[^/]";
    if (token.length > 2 && token.startsWith("[")) return characterClass(token.slice(1, -1));
    if (token === "{") return ((depth += 1), "(?:");
    if (token === "}" && depth > 0) return ((depth -= 1), ")");
    if (token === "," && depth > 0) return "|";
    return escaped(token);
  });
  const isPattern = pattern !== "" && depth === 0 && !pattern.startsWith("/");
  if (isPattern) return new RegExp(`^${parts.join("")}$`, "su");
  throw new MementoError("INVALID_ARGUMENT", `files takes a pattern such as **/*.csv, not ${JSON.stringify(pattern)}`);
}

function characterClass(characters: string): string {
  const negated = characters.startsWith("!");
  const rest = (negated ? characters.slice(1) : characters).replaceAll(/[\\\]^[]/gu, String.raw`\$&`);
  return `(?!/)[${negated ? "^" : ""}${rest}]`;
}

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/]/gu, String.raw`\$&`);
