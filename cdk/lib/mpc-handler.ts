import { RustFunction } from "./rust-function.js";

/** A caller of the workflows: it starts them through `lib/client` and reads the executions that it started. */
export class MpcHandler extends RustFunction {
  readonly whenItFails =
    "Look at its log for the error and fix the cause. An event or a bounty message that could not be handled becomes a dead letter. The caller of a failed request sends it again.";
}
