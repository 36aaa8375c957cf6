import { InvalidArgumentError, type Argument, type Command, type Option } from "commander";

/** Texts for people: none is as good as an empty one. */
const FREE_TEXTS = new Set(["description", "note", "reason", "why"]);

/**
 * Refuses an empty text for every option and argument of a command and of those beneath it, but for texts that only people read.
 * Empty is what a shell makes of a variable that is not set, and it would be taken for an option that was not given: a run on no
 * fork, a removal from all caretakers. Called once all commands are there.
 */
export function refuseEmptyValues(command: Command): void {
  for (const option of command.options) if (!FREE_TEXTS.has(option.name())) refuseEmptyOption(option);
  for (const argument of command.registeredArguments) refuseEmptyArgument(argument);
  for (const beneath of command.commands) refuseEmptyValues(beneath);
}

function refuseEmptyOption(option: Option): void {
  const { parseArg } = option;
  option.argParser((value: string, before: unknown) => {
    if (value === "") throw new InvalidArgumentError("It must not be empty.");
    return parseArg === undefined ? value : parseArg(value, before);
  });
}

function refuseEmptyArgument(argument: Argument): void {
  const { parseArg, variadic } = argument;
  argument.argParser((value: string, before: unknown) => {
    if (value === "") throw new InvalidArgumentError(`An empty text names no ${argument.name()}.`);
    if (parseArg !== undefined) return parseArg(value, before as never);
    return variadic ? [...((before as readonly string[] | undefined) ?? []), value] : value;
  });
}
