/** The alias of every function and every state machine. Callers use it, and a release moves it to a new version. */
export const LIVE = "live";
