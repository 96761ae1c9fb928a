/** The alias of every function and of every state machine: what callers call, and what a release shifts. */
export const LIVE = "live";
