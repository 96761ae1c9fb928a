/** Where a deployment runs: on the local stack, in a developers' account, or for the library's users. */
export type EnvironmentName = "local" | "dev" | "prod";

/** What the environments differ in. A context value of the same name comes first. */
export interface EnvironmentDefaults {
  /** What every name starts with, so that the environments can share an account. */
  readonly prefix: string;
  /** Whether data outlives mistakes: restored to any point in time, not deleted, kept when the stack goes. */
  readonly keepData: boolean;
  readonly logRetentionDays: number;
  readonly alarms: boolean;
  /** Whether a release takes a part of the traffic first, and is rolled back when an alarm rings. */
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
