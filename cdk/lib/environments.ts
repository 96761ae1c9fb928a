/** Where a deployment runs: on the local stack, in a developers' account, or for the library's users. */
export type EnvironmentName = "local" | "dev" | "prod";

/** The defaults that differ between environments. A context value of the same name overrides them. */
export interface EnvironmentDefaults {
  /** The prefix of every name. It lets several environments share an account. */
  readonly prefix: string;
  /** Whether data survives mistakes: point-in-time recovery, deletion protection, kept when the stack is deleted. */
  readonly keepData: boolean;
  readonly logRetentionDays: number;
  readonly alarms: boolean;
  /** Whether a release gets a part of the traffic first, and is rolled back if an alarm rings. */
  readonly gradualShift: boolean;
}

export const ENVIRONMENTS: Record<EnvironmentName, EnvironmentDefaults> = {
  local: {
    prefix: "apgl",
    keepData: false,
    logRetentionDays: 1,
    alarms: true,
    gradualShift: false,
  },
  dev: {
    prefix: "apgl-dev",
    keepData: false,
    logRetentionDays: 14,
    alarms: false,
    gradualShift: false,
  },
  prod: {
    prefix: "apgl",
    keepData: true,
    logRetentionDays: 90,
    alarms: true,
    gradualShift: true,
  },
};
