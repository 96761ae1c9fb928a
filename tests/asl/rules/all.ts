import type { Machine } from "../machine.js";
import {
  catchAll,
  firstError,
  keptErrors,
  redrivableErrors,
  retries,
  staleChannels,
  timeouts,
  waits,
} from "./errors.js";
import { keyOrder, loops, stateNames, wholeMachine } from "./structure.js";
import { assignedVariables, expressionSyntax, reservedVariables } from "./variables.js";

/** The project's own rules for one machine. Each returns its findings. */
export const RULES: Record<string, (machine: Machine) => string[]> = {
  wholeMachine,
  keyOrder,
  stateNames,
  loops,
  retries,
  catchAll,
  timeouts,
  waits,
  staleChannels,
  redrivableErrors,
  firstError,
  keptErrors,
  expressionSyntax,
  reservedVariables,
  assignedVariables,
};
