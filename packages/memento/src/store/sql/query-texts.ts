import type { Json } from "../../core/json.ts";
import type { MementoQuery } from "../query.ts";

/**
 * Texts that stand in the header of every pack that has what the query wants, as JSON writes them. A server looks
 * for them in the bytes, so that most packs that are not wanted never leave it; what it gives is filtered again.
 */
export function queryTexts(query: MementoQuery): readonly Uint8Array[] {
  const { caretaker, timeline, originator, kind, status, reason, run, stage, name, labels, metadata } = query;
  const texts = [caretaker, originator, kind, status, reason].flatMap((value) =>
    value === null ? [] : [quoted(value)],
  );
  if (timeline !== null) texts.push(`"${timeline}-`);
  for (const [key, value] of Object.entries({ name, run, stage })) if (value !== null) texts.push(member(key, value));
  for (const [key, value] of Object.entries(labels)) texts.push(member(key, value));
  for (const [path, value] of Object.entries(metadata)) texts.push(isPlain(value) ? member(path, value) : quoted(path));
  return texts.map((text) => Buffer.from(text, "utf8"));
}

/** Lists and objects may have been written in another order of their keys, and some numbers in another form. */
const isPlain = (value: Json): value is string | boolean | null =>
  value === null || typeof value === "string" || typeof value === "boolean";

const quoted = (text: string): string => JSON.stringify(text);
const member = (key: string, value: string | boolean | null): string => `${quoted(key)}:${JSON.stringify(value)}`;
