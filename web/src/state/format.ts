/** Numbers and times as traders read them. */

const MINUS = "\u2212";

export function usd(x: number): string {
  const a = Math.abs(x);
  const sign = x < 0 ? MINUS : "";
  const three = (v: number): string => v.toFixed(v >= 99.5 ? 0 : v >= 9.95 ? 1 : 2);
  if (a >= 9.995e8) return `${sign}$${three(a / 1e9)}B`;
  if (a >= 9.995e5) return `${sign}$${three(a / 1e6)}M`;
  if (a >= 999.5) return `${sign}$${(a / 1e3).toFixed(a >= 9_950 ? 0 : 1)}k`;
  return `${sign}$${a.toFixed(0)}`;
}

/** Round dollars without trailing zeros, for ticks: $500k, $2M. */
export function usdTick(x: number): string {
  if (x >= 1e9) return `$${Number((x / 1e9).toPrecision(2))}B`;
  if (x >= 1e6) return `$${Number((x / 1e6).toPrecision(2))}M`;
  if (x >= 1e3) return `$${Number((x / 1e3).toPrecision(2))}k`;
  return `$${Number(x.toPrecision(2))}`;
}

const fixed = (x: number, digits: number): string =>
  x.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

export function price(x: number, decimals: number): string {
  return fixed(x, x >= 1000 ? Math.min(decimals, 1) : Math.min(decimals, 8));
}

export function axisPrice(x: number): string {
  const digits = x >= 1000 ? 0 : x >= 10 ? 2 : x >= 0.1 ? 4 : 7;
  return x.toLocaleString("en-US", { minimumFractionDigits: 0, maximumFractionDigits: digits });
}

export const rowPrice = (x: number, step: number): string => fixed(x, decimalsOf(step));

export function decimalsOf(step: number): number {
  return Math.max(0, Math.min(8, step >= 1 ? 0 : Math.ceil(-Math.log10(step) - 1e-9)));
}

/** A real minus sign, and always a sign: these are changes. */
export function percent(x: number, digits = 2): string {
  const text = (Math.abs(x) * 100).toFixed(digits);
  const sign = Number(text) === 0 ? "" : x > 0 ? "+" : MINUS;
  return `${sign}${text} %`;
}

export function signed(x: number, text: string): string {
  return x > 0 ? `+${text}` : x < 0 ? `${MINUS}${text}` : text;
}

/** Fixed digits with a real minus sign; what rounds to nothing has none. */
export function plain(x: number, digits: number): string {
  const text = Math.abs(x).toFixed(digits);
  return x < 0 && Number(text) !== 0 ? `${MINUS}${text}` : text;
}

/** Base coins, about three digits. */
export function size(x: number): string {
  const a = Math.abs(x);
  if (a === 0) return "";
  if (a >= 1e6) return `${(x / 1e6).toFixed(1)}M`;
  if (a >= 1e4) return `${(x / 1e3).toFixed(1)}k`;
  if (a >= 100) return x.toFixed(0);
  if (a >= 10) return x.toFixed(1);
  return x.toFixed(2);
}

export function signedSize(x: number): string {
  const text = size(Math.abs(x));
  return text === "" ? "0" : signed(x, text);
}

export function age(seconds: number): string {
  if (seconds < 90) return `${Math.max(0, seconds).toFixed(0)} s`;
  if (seconds < 5400) return `${(seconds / 60).toFixed(0)} min`;
  if (seconds < 172_800) return `${(seconds / 3600).toFixed(seconds < 36_000 ? 1 : 0)} h`;
  return `${(seconds / 86_400).toFixed(0)} d`;
}

const two = (n: number): string => String(n).padStart(2, "0");

export function clock(ms: number, utc: boolean, seconds = false): string {
  const d = new Date(ms);
  const h = utc ? d.getUTCHours() : d.getHours();
  const m = utc ? d.getUTCMinutes() : d.getMinutes();
  const s = utc ? d.getUTCSeconds() : d.getSeconds();
  return `${two(h)}:${two(m)}${seconds ? `:${two(s)}` : ""}`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export function day(ms: number, utc: boolean): string {
  const d = new Date(ms);
  return utc ? `${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]}` : `${d.getDate()} ${MONTHS[d.getMonth()]}`;
}

/** The user's zone as the axis names it: "UTC+2", or "UTC" when asked for. */
export function zone(ms: number, utc: boolean): string {
  const minutes = utc ? 0 : -new Date(ms).getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const hours = Math.abs(minutes) / 60;
  return `UTC${minutes > 0 ? "+" : MINUS}${Number.isInteger(hours) ? hours : `${Math.floor(hours)}:${two(Math.abs(minutes) % 60)}`}`;
}

/** "okx: it says", by venue in the order in which they come; "" where none is named. */
export function byVenue(said: readonly string[]): [string, string[]][] {
  const by = new Map<string, string[]>();
  for (const one of said) {
    const cut = one.indexOf(": ");
    const name = cut > 0 ? one.slice(0, cut) : "";
    by.set(name, [...(by.get(name) ?? []), one.slice(cut > 0 ? cut + 2 : 0)]);
  }
  return [...by];
}

/** A sentence of the server's with the page's own signs: "-0.48%" as "−0.48 %". */
export const tidy = (text: string): string => text.replace(/(^|\s)-(?=\d)/g, `$1${MINUS}`).replace(/(\d)%/g, "$1 %");

/** How many venues are followed; none is not known yet. */
export const venuesWord = (n: number): string => (n > 0 ? `${n} ${n === 1 ? "venue" : "venues"}` : "venues");

/** "poc_row" and "wall_pulled" as words. */
export const words = (name: string): string => name.replaceAll("_", " ");
