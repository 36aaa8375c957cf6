import { isSecretParameter } from "../../core/secret-names.ts";

/** A piece of base64 that is shorter could be part of anything. */
const BASE64_CHARACTERS_MIN = 8;

/**
 * What is a secret by itself within one: every text of a JSON object or array; the password of a URL, or the user of one without a
 * password; what is named like a secret in a query or a connection string.
 */
export function partsOf(secret: string): string[] {
  const inJson = textsOf(secret);
  if (inJson !== null) return inJson.flatMap((text) => [text, ...partsOf(text)]);
  const parts: string[] = [];
  for (const [, user = "", password = ""] of secret.matchAll(/[a-z][\w+.-]*:\/\/([^\s:/?#@]*)(?::([^\s/?#]*))?@/giu))
    parts.push(password === "" ? user : password);
  for (const [, name = "", quoted, plain = ""] of secret.matchAll(/([\w .-]+)=(?:["']([^"']*)["']|([^\s;&]*))/gu))
    if (isSecretParameter(name)) parts.push(quoted ?? plain);
  return parts.flatMap((part) => [part, decoded(part)]);
}

/** Every text of a JSON object or array; null for anything else. */
function textsOf(secret: string): string[] | null {
  if (!/^\s*[[{]/u.test(secret)) return null;
  try {
    const texts: string[] = [];
    JSON.parse(secret, (_key, value: unknown) => {
      if (typeof value === "string") texts.push(value);
      return value;
    });
    return texts;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return text;
    throw error;
  }
}

/**
 * A secret as it is, and as it comes out of common encodings: those of URLs and forms, JSON, hex, and base64 with anything before
 * and behind it, as in an `Authorization: Basic`.
 */
export function spellingsOf(secret: string): string[] {
  const bytes = Buffer.from(secret, "utf8");
  const hex = bytes.toString("hex");
  const json = JSON.stringify(secret).slice(1, -1);
  return [secret, json, hex, hex.toUpperCase(), ...percentSpellings(secret), ...base64Spellings(bytes)];
}

/** Each encoder leaves other characters as they are, and some write the digits small. */
function percentSpellings(secret: string): string[] {
  const text = secret.toWellFormed();
  const component = encodeURIComponent(text);
  const url = new URL("http://host");
  url.password = text;
  const spellings = [
    component,
    component.replaceAll(/[!'()*]/gu, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`),
    encodeURI(text),
    url.password,
    new URLSearchParams([["", text]]).toString().slice(1),
  ];
  return spellings.flatMap((each) => [each, each.replaceAll(/%../gu, (byte) => byte.toLowerCase())]);
}

/** The whole, and what of it does not depend on the bytes beside it. */
function base64Spellings(bytes: Buffer): string[] {
  const pieces = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString("base64");
    return text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
  });
  const long = pieces.filter((piece) => piece.length >= BASE64_CHARACTERS_MIN);
  const spellings = [bytes.toString("base64"), ...long];
  return [
    ...spellings,
    bytes.toString("base64url"),
    ...long.map((piece) => piece.replaceAll("+", "-").replaceAll("/", "_")),
  ];
}
