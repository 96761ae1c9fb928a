import { buildApp } from "../lib/app.js";
import { SettingError } from "../lib/settings.js";

try {
  buildApp();
} catch (error) {
  if (!(error instanceof SettingError)) throw error;
  // A stack trace does not help the person who set the value.
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
