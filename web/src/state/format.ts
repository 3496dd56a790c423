/** Numbers as traders read them. */

export function usd(x: number): string {
  const a = Math.abs(x);
  if (a >= 1e9) return `$${(x / 1e9).toFixed(a >= 1e10 ? 1 : 2)}B`;
  if (a >= 1e6) return `$${(x / 1e6).toFixed(a >= 1e8 ? 0 : 1)}M`;
  if (a >= 1e3) return `$${(x / 1e3).toFixed(a >= 1e5 ? 0 : 1)}k`;
  return `$${x.toFixed(0)}`;
}

export function price(x: number, decimals: number): string {
  const digits = x >= 1000 ? Math.min(decimals, 1) : decimals;
  return x.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function axisPrice(x: number): string {
  const digits = x >= 1000 ? 0 : x >= 10 ? 2 : x >= 0.1 ? 4 : 7;
  return x.toLocaleString("en-US", { minimumFractionDigits: 0, maximumFractionDigits: digits });
}

/** A real minus sign, and always a sign: these are changes. */
export function percent(x: number, digits = 2): string {
  const text = (Math.abs(x) * 100).toFixed(digits);
  const sign = Number(text) === 0 ? "" : x > 0 ? "+" : "\u2212";
  return `${sign}${text} %`;
}

export function size(x: number): string {
  if (x === 0) return "";
  const a = Math.abs(x);
  if (a >= 1e6) return `${(x / 1e6).toFixed(1)}M`;
  if (a >= 1e4) return `${(x / 1e3).toFixed(1)}k`;
  if (a >= 100) return x.toFixed(0);
  if (a >= 1) return x.toFixed(1);
  return x.toFixed(3);
}

export function age(seconds: number): string {
  if (seconds < 60) return `${Math.max(0, seconds).toFixed(0)} s`;
  if (seconds < 3600) return `${(seconds / 60).toFixed(0)} min`;
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
