/** The rule that a value breaks; `undefined` if it breaks none. */
type Check = (value: unknown) => string | undefined;

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const TIME_OF_DAY = /^([01]\d|2[0-3]):[0-5]\d$/;
const LEAD = /^([1-9]\d{0,2})([dh])$/;
/** Not all others are known to the functions: ICU also has names such as PST, SystemV/PST8 and US/Pacific-New. */
const AREA_AND_PLACE =
  /^(?:Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Etc|Europe|Indian|Pacific)\/./;
/** An e-mail address. The functions also read letters outside ASCII and quoted parts. */
const ADDRESS =
  /^(?=.{1,254}$)(?!\.|.*\.[.@])[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.(?!$)|$)){2,}$/i;

const flag: Check = (value) => (typeof value === "boolean" ? undefined : "must be a boolean");
const upTo =
  (max: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max
      ? undefined
      : `must be an integer from 0 to ${String(max)}`;
const list =
  (max: number, entry: (value: unknown) => boolean, rule: string): Check =>
  (value) =>
    Array.isArray(value) && value.length <= max && value.every(entry) ? undefined : rule;

const isAddress = (entry: unknown) => typeof entry === "string" && ADDRESS.test(entry);

/** The length of a lead in hours; `NaN` if it is none. */
function hours(lead: unknown): number {
  const [, number = "", unit] = LEAD.exec(typeof lead === "string" ? lead : "") ?? [];
  return Number(number) > 255 ? NaN : (unit === "d" ? 24 : 1) * Number(number || NaN);
}

const beforeDue: Check = (value) => {
  const rule = "must be a list of at most 5 lengths such as 3d or 24h, no two of them equal";
  if (!Array.isArray(value) || value.length > 5) return rule;
  const lengths = value.map(hours);
  return lengths.some(Number.isNaN) || new Set(lengths).size < lengths.length ? rule : undefined;
};

const workingHours: Check = (value) => {
  const { from, to, ...others } = (value ?? {}) as Record<string, unknown>;
  const times = [from, to].every((time) => typeof time === "string" && TIME_OF_DAY.test(time));
  const isOne = times && Object.keys(others).length === 0 && String(from) < String(to);
  return isOne ? undefined : "must have from and to, times of day such as 09:00, in this order";
};

const workingDays: Check = (value) =>
  Array.isArray(value) && value.length > 0 && value.every((day) => DAYS.includes(day as string))
    ? undefined
    : `must be a list of ${DAYS.join(", ")}, not empty`;

const timeZone: Check = (value) => {
  const rule =
    "must be UTC or the IANA name of a time zone by area and place, such as Europe/Berlin";
  if (value === "UTC") return undefined;
  if (typeof value !== "string" || !AREA_AND_PLACE.test(value)) return rule;
  try {
    new Intl.DateTimeFormat("en", { timeZone: value });
    return undefined;
  } catch {
    return rule;
  }
};

/** The settings of items. A setting that is `null` is not set. */
const OF_ITEMS: Record<string, Check> = {
  off: flag,
  beforeDue,
  atDue: flag,
  overdue: upTo(10),
  quietAfterWorkingDays: upTo(30),
  quiet: upTo(10),
  escalateAfterWorkingDays: upTo(30),
  escalateTo: list(50, isAddress, "must be a list of at most 50 e-mail addresses"),
  workingHours,
  workingDays,
};

/** A rule that is broken, and where: for example `.states.in_review.overdue`; empty for the settings as a whole. */
export interface Broken {
  readonly place: string;
  readonly rule: string;
}

/** Finds the first rule that the object's fields break. */
function brokenIn(
  value: unknown,
  ofField: (name: string) => ((value: unknown) => Broken | undefined) | undefined,
): Broken | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { place: "", rule: "must be an object" };
  }
  for (const [name, setting] of Object.entries(value)) {
    const check = ofField(name);
    const broken =
      check === undefined ? { place: "", rule: "is not a known setting" } : check(setting);
    if (broken !== undefined) return { ...broken, place: `.${name}${broken.place}` };
  }
  return undefined;
}

const known = <T>(checks: Record<string, T>, name: string): T | undefined =>
  Object.hasOwn(checks, name) ? checks[name] : undefined;

/** A value that must obey the rule, unless it is `null`: then it is not set. */
const obeys = (check: Check) => (value: unknown) => {
  const rule = value === null ? undefined : check(value);
  return rule === undefined ? undefined : { place: "", rule };
};

const ofItems = (value: unknown) =>
  brokenIn(value, (name) => {
    const check = known(OF_ITEMS, name);
    return check && obeys(check);
  });

/**
 * Finds the first rule that the settings of reminders break. The functions read them by the same rules, in
 * `lib/contract/src/reminders`, and the tests of both read the same examples.
 */
export function brokenReminderRule(value: unknown): Broken | undefined {
  const settings = {
    timeZone: obeys(timeZone),
    default: ofItems,
    states: (states: unknown) => brokenIn(states, () => ofItems),
  };
  return brokenIn(value, (name) => known(settings, name));
}
