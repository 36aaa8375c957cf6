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
  if (!isPattern) throw noPattern(pattern);
  try {
    return new RegExp(`^${parts.join("")}$`, "su");
  } catch (cause) {
    // All else is escaped: what is left is a class whose range runs backwards.
    if (cause instanceof SyntaxError) throw noPattern(pattern, cause);
    throw cause;
  }
}

function noPattern(pattern: string, cause?: SyntaxError): MementoError {
  const message = `files takes a pattern such as **/*.csv, not ${JSON.stringify(pattern)}`;
  if (cause === undefined) return new MementoError("INVALID_ARGUMENT", message);
  const hint = "A range in brackets begins with the lower character, as in [a-z].";
  return new MementoError("INVALID_ARGUMENT", message, { cause, hint });
}

function characterClass(characters: string): string {
  const negated = characters.startsWith("!");
  const rest = (negated ? characters.slice(1) : characters).replaceAll(/[\\\]^[]/gu, String.raw`\$&`);
  return `(?!/)[${negated ? "^" : ""}${rest}]`;
}

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/]/gu, String.raw`\$&`);
